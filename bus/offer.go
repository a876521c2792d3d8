package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"natscast/internal/media"
)

const (
	// offerReads bounds the segments that this node reads at once.
	offerReads = 4
	// storeTimeout bounds the storing of a segment.
	storeTimeout = 2 * time.Second
)

// Offer is an asset that this node lets others find and read.
type Offer struct {
	bus    *Bus
	asset  Asset
	read   func(n int) (Segment, error)
	answer []byte
	finds  []*nats.Subscription
	reads  *nats.Subscription

	mu       sync.Mutex
	underWay map[int]*offeredRead
}

// offeredRead is a segment that is being stored.
type offeredRead struct {
	done chan struct{}
	err  error
}

// Offer lets all nodes find an asset by its name and by others, and has them get its segments from read, which several
// goroutines call at once, until Withdraw and then Close.
func (b *Bus) Offer(a Asset, others []media.Name, read func(n int) (Segment, error)) (*Offer, error) {
	answer, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	if limit := b.partLimit(); len(answer) > limit {
		return nil, fmt.Errorf("offer %s: the times of %d segments take %d bytes, more than a message of %d", a.Name, len(a.Starts), len(answer), limit)
	}
	o := &Offer{bus: b, asset: a, read: read, answer: answer, underWay: map[int]*offeredRead{}}
	if o.reads, err = b.responder.add(b.static, readSubject(a.ID), o.onRead); err != nil {
		return nil, fmt.Errorf("offer %s: %w", a.Name, err)
	}
	for _, name := range append([]media.Name{a.Name}, others...) {
		sub, err := b.responder.add(b.static, findSubject(name), o.onFind)
		if err != nil {
			o.Close()
			return nil, fmt.Errorf("offer %s: %w", a.Name, err)
		}
		o.finds = append(o.finds, sub)
	}
	return o, nil
}

// Withdraw lets nobody find the asset here any more. Those who have found it go on.
func (o *Offer) Withdraw() {
	for _, sub := range o.finds {
		o.bus.responder.remove(sub)
	}
	o.finds = nil
}

// Close ends the offer.
func (o *Offer) Close() {
	o.Withdraw()
	o.bus.responder.remove(o.reads)
}

func (o *Offer) onFind(m *nats.Msg) { answer(m, o.answer) }

func (o *Offer) onRead(m *nats.Msg) {
	n, err := strconv.Atoi(string(m.Data))
	if err != nil || n < 0 || n >= len(o.asset.Starts) {
		o.respond(m, fmt.Errorf("there is no segment %.20q", m.Data))
		return
	}
	go func() { o.respond(m, o.store(n)) }()
}

func (o *Offer) respond(m *nats.Msg, err error) {
	var body []byte
	if err != nil {
		body = []byte(err.Error())
		slog.Warn("bus: a segment cannot be had", "stream", o.asset.Name, "segment", string(m.Data), "err", err)
	}
	answer(m, body)
}

// store reads a segment and stores it, once for all that ask at the same time.
func (o *Offer) store(n int) error {
	o.mu.Lock()
	r := o.underWay[n]
	if r != nil {
		o.mu.Unlock()
		<-r.done
		return r.err
	}
	r = &offeredRead{done: make(chan struct{})}
	o.underWay[n] = r
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		delete(o.underWay, n)
		o.mu.Unlock()
		close(r.done)
	}()
	o.bus.offerReads <- struct{}{}
	defer func() { <-o.bus.offerReads }()
	s, err := o.read(n)
	if err != nil {
		r.err = err
		return err
	}
	r.err = o.bus.storeSegment(o.asset.ID, n, s)
	return r.err
}

// storeSegment stores a segment in parts.
func (b *Bus) storeSegment(asset string, n int, s Segment) error {
	ctx, cancel := context.WithTimeout(b.ctx, storeTimeout)
	defer cancel()
	subject := segmentSubject(asset, n)
	limit := min(staticPart, b.partLimit())
	count := max(1, (len(s.Payload)+limit-1)/limit)
	if count > maxParts {
		return fmt.Errorf("a segment of %d bytes", len(s.Payload))
	}
	inbox := b.static.NewInbox()
	acks, err := b.static.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = acks.Unsubscribe() }()
	for i := range count {
		m := nats.NewMsg(subject + "." + strconv.Itoa(i+1))
		m.Reply = inbox
		m.Header[headerPart] = []string{strconv.Itoa(i+1) + "/" + strconv.Itoa(count)}
		if i == 0 {
			m.Header[headerHeaders] = []string{strconv.Itoa(s.Headers)}
		}
		m.Data = s.Payload[min(i*limit, len(s.Payload)):min((i+1)*limit, len(s.Payload))]
		if err := b.static.PublishMsg(m); err != nil {
			return err
		}
	}
	for range count {
		ack, err := acks.NextMsgWithContext(ctx)
		if err != nil {
			return fmt.Errorf("the store does not answer: %w", err)
		}
		if err := ackError(ack); err != nil {
			return err
		}
	}
	return nil
}

// ackError is why a message was not stored.
func ackError(m *nats.Msg) error {
	var ack struct {
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return fmt.Errorf("answer of the store: %w", err) // nobody was there, and the answer is empty
	}
	if ack.Error != nil {
		return errors.New(ack.Error.Description)
	}
	return nil
}
