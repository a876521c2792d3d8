package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// Errors of a direct get.
var (
	errNotStored = errors.New("not stored")
	errDirectGet = errors.New("direct get")
)

// Headers of an answer. A page has an empty message at its end.
const (
	headerStatus   = "Status"
	headerSubject  = "Nats-Subject"
	headerSequence = "Nats-Sequence"
	headerPending  = "Nats-Num-Pending"
	statusEnd      = "204"
)

// One page of a batch.
const (
	pageMessages = 1000
	pageBytes    = 8 << 20
)

// directRequest is JetStream's request for stored messages, which any replica
// answers. With a batch, or for the last ones, it is answered by a page of messages
// and a mark at its end, else by a single message.
type directRequest struct {
	Seq       uint64     `json:"seq,omitempty"`
	StartTime *time.Time `json:"start_time,omitempty"`
	LastFor   string     `json:"last_by_subj,omitempty"`
	NextFor   string     `json:"next_by_subj,omitempty"`
	Batch     int        `json:"batch,omitempty"`
	MaxBytes  int        `json:"max_bytes,omitempty"`

	MultiLast []string   `json:"multi_last,omitempty"`
	UpToTime  *time.Time `json:"up_to_time,omitempty"` // only what was stored before
}

func (r directRequest) single() bool { return r.Batch == 0 && len(r.MultiLast) == 0 }

// stored is a message from the store.
type stored struct {
	sequence uint64
	subject  string
	*nats.Msg
}

// directGet asks the store of a shard. pending is how many more messages match
// beyond the page. It returns [errNotStored] when nothing matches.
func (b *Bus) directGet(
	ctx context.Context,
	shard string,
	r directRequest,
) (page []stored, pending uint64, err error) {
	return b.askPage(ctx, "$JS.API.DIRECT.GET."+streamName(shard), r, r.single(), requestTimeout)
}

// askPage asks for stored messages: the store, or who answers as it does.
func (b *Bus) askPage(
	ctx context.Context,
	subject string,
	request any,
	single bool,
	timeout time.Duration,
) (page []stored, pending uint64, err error) {
	select {
	case b.requests <- struct{}{}:
		defer func() { <-b.requests }()
	case <-ctx.Done():
		return nil, 0, fmt.Errorf("%w: %w", errDirectGet, ctx.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body, err := json.Marshal(request)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errDirectGet, err)
	}
	inbox := b.backfill.NewInbox()
	answers, err := b.backfill.SubscribeSync(inbox)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errDirectGet, err)
	}
	// Its error says that the connection was closed, and the subscription with it.
	defer func() { _ = answers.Unsubscribe() }()
	if err := b.backfill.PublishRequest(subject, inbox, body); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errDirectGet, err)
	}
	return readPage(ctx, answers, single)
}

// getOne asks the store of a shard for a single message. It is cheaper than [Bus.directGet], and
// more of its kind may be under way.
func (b *Bus) getOne(ctx context.Context, shard string, r directRequest) (stored, error) {
	select {
	case b.singles <- struct{}{}:
		defer func() { <-b.singles }()
	case <-ctx.Done():
		return stored{}, fmt.Errorf("%w: %w", errDirectGet, ctx.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	body, err := json.Marshal(r)
	if err != nil {
		return stored{}, fmt.Errorf("%w: %w", errDirectGet, err)
	}
	m, err := b.backfill.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+streamName(shard), body)
	if err != nil {
		return stored{}, fmt.Errorf("%w: shard %s: %w", errDirectGet, shard, err)
	}
	return readStored(m)
}

func readPage(
	ctx context.Context,
	answers *nats.Subscription,
	single bool,
) (page []stored, pending uint64, err error) {
	for {
		m, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			return page, 0, fmt.Errorf("%w: %w", errDirectGet, err)
		}
		if m.Header.Get(headerStatus) == statusEnd {
			pending, err := strconv.ParseUint(m.Header.Get(headerPending), 10, 64)
			if err != nil {
				return page, 0, fmt.Errorf("%w: end of the batch: %w", errDirectGet, err)
			}
			return page, pending, nil
		}
		s, err := readStored(m)
		if err != nil {
			return page, 0, err
		}
		page = append(page, s)
		if single {
			return page, 0, nil
		}
	}
}

// readStored reads an answer that is a message, or says why there is none.
func readStored(m *nats.Msg) (s stored, err error) {
	switch status := m.Header.Get(headerStatus); status {
	case "":
	case "404":
		return s, errNotStored
	default:
		return s, fmt.Errorf("%w: %s %s", errDirectGet, status, m.Header.Get("Description"))
	}
	s = stored{subject: m.Header.Get(headerSubject), Msg: m}
	if s.sequence, err = strconv.ParseUint(m.Header.Get(headerSequence), 10, 64); err != nil {
		return s, fmt.Errorf("%w: sequence: %w", errDirectGet, err)
	}
	return s, nil
}
