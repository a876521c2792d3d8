package static

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"natscast/bus/peers"
	"natscast/internal/media"
	"natscast/internal/natsconn"
)

const (
	// readers is how many segments this node reads at once for others, and readQueue how many
	// more may wait.
	readers, readQueue = 4, 1024
	// maxAsking is how many requests for one segment wait for it.
	maxAsking = 1024
	// storeTimeout bounds the storing of a segment.
	storeTimeout = 2 * time.Second
)

// Offer is an asset that this node lets others find and read.
type Offer struct {
	store  *Store
	asset  Asset
	read   func(n int) (Segment, error)
	answer []byte
	finds  []*nats.Subscription
	reads  *nats.Subscription

	mu       sync.Mutex          // guards what follows
	underWay map[int][]*nats.Msg // the requests for each segment that is read, or waits for that
	closed   bool
	reading  sync.WaitGroup // the calls of read; it grows only while not closed
}

// Offer lets all nodes find an asset by its name and by others, and has them get its segments from
// read, which several goroutines call at once, until Withdraw and then Close.
func (s *Store) Offer(
	a Asset,
	others []media.Name,
	read func(n int) (Segment, error),
) (*Offer, error) {
	answer, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	if limit := natsconn.PayloadLimit(s.conn); len(answer) > limit {
		return nil, fmt.Errorf(
			"offer %s: the times of %d segments take %d bytes, more than a message of %d",
			a.Name,
			len(a.Starts),
			len(answer),
			limit,
		)
	}
	o := &Offer{store: s, asset: a, read: read, answer: answer, underWay: map[int][]*nats.Msg{}}
	if o.reads, err = s.responder.Add(s.conn, readSubject(a.ID), o.onRead); err != nil {
		return nil, fmt.Errorf("offer %s: %w", a.Name, err)
	}
	for _, name := range append([]media.Name{a.Name}, others...) {
		sub, err := s.responder.Add(s.conn, findSubject(name), o.onFind)
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
		o.store.responder.Remove(sub)
	}
	o.finds = nil
}

// Close ends the offer, and waits for reads that have begun. No read begins any more.
func (o *Offer) Close() {
	o.Withdraw()
	o.store.responder.Remove(o.reads)
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.reading.Wait()
}

func (o *Offer) onFind(m *nats.Msg) { peers.Answer(m, o.answer, o.store.log) }

func (o *Offer) onRead(m *nats.Msg) {
	n, err := strconv.Atoi(string(m.Data))
	if err != nil || n < 0 || n >= len(o.asset.Starts) {
		peers.Answer(m, fmt.Appendf(nil, "there is no segment %.20q", m.Data), o.store.log)
		return
	}
	if !o.ask(n, m) {
		o.store.responder.AskAgain(m)
	}
}

// ask has a segment read and stored, once for all that ask for it meanwhile. It reports false when
// there is no room.
func (o *Offer) ask(n int, m *nats.Msg) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	asking := o.underWay[n]
	if len(asking) == maxAsking || len(asking) == 0 && !o.store.reads.Add(func() { o.serve(n) }) {
		return false
	}
	o.underWay[n] = append(asking, m)
	return true
}

// serve reads and stores a segment, and tells all that have asked for it.
func (o *Offer) serve(n int) {
	err := o.readAndStore(n)
	o.mu.Lock()
	asking := o.underWay[n]
	delete(o.underWay, n)
	o.mu.Unlock()
	for _, m := range asking {
		o.respond(m, err)
	}
}

func (o *Offer) respond(m *nats.Msg, err error) {
	var body []byte
	if err != nil {
		body = []byte(err.Error())
		o.store.log.Warn("a segment cannot be had",
			"stream",
			o.asset.Name,
			"segment",
			string(m.Data),
			"err",
			err,
		)
	}
	peers.Answer(m, body, o.store.log)
}

func (o *Offer) readAndStore(n int) error {
	if !o.begin() {
		return nil // who asks sees that nothing was stored, and finds the asset elsewhere
	}
	s, err := o.read(n)
	o.reading.Done()
	if err != nil {
		return err
	}
	return o.store.storeSegment(o.asset.ID, n, s)
}

// begin counts a read, unless the offer is closed.
func (o *Offer) begin() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.reading.Add(1)
	}
	return !o.closed
}

// storeSegment stores a segment in parts.
func (s *Store) storeSegment(asset string, n int, segment Segment) error {
	ctx, cancel := context.WithTimeout(s.ctx, storeTimeout)
	defer cancel()
	subject := segmentSubject(asset, n)
	limit := min(maxPart, natsconn.PayloadLimit(s.conn))
	count := max(1, (len(segment.Payload)+limit-1)/limit)
	if count > maxParts {
		return fmt.Errorf("a segment of %d bytes", len(segment.Payload))
	}
	inbox := s.conn.NewInbox()
	acks, err := s.conn.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = acks.Unsubscribe() }()
	for i := range count {
		m := nats.NewMsg(subject + "." + strconv.Itoa(i+1))
		m.Reply = inbox
		m.Header[headerPart] = []string{strconv.Itoa(i+1) + "/" + strconv.Itoa(count)}
		if i == 0 {
			m.Header[headerHeaders] = []string{strconv.Itoa(segment.Headers)}
		}
		m.Data = segment.Payload[min(i*limit, len(segment.Payload)):min((i+1)*limit, len(segment.Payload))]
		if err := s.conn.PublishMsg(m); err != nil {
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
		return fmt.Errorf(
			"answer of the store: %w",
			err,
		) // nobody was there, and the answer is empty
	}
	if ack.Error != nil {
		return errors.New(ack.Error.Description)
	}
	return nil
}
