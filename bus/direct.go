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
func (b *Bus) directGet(ctx context.Context, shard string, r directRequest) (page []stored, pending uint64, err error) {
	select {
	case b.requests <- struct{}{}:
		defer func() { <-b.requests }()
	case <-ctx.Done():
		return nil, 0, fmt.Errorf("%w: %w", errDirectGet, ctx.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	body, err := json.Marshal(r)
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
	if err := b.backfill.PublishRequest("$JS.API.DIRECT.GET."+streamName(shard), inbox, body); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errDirectGet, err)
	}
	return readPage(ctx, answers, r.single())
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

func readPage(ctx context.Context, answers *nats.Subscription, single bool) (page []stored, pending uint64, err error) {
	for {
		m, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			return page, 0, fmt.Errorf("%w: %w", errDirectGet, err)
		}
		if m.Header.Get("Status") == "204" {
			pending, err := strconv.ParseUint(m.Header.Get("Nats-Num-Pending"), 10, 64)
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
	switch status := m.Header.Get("Status"); status {
	case "":
	case "404":
		return s, errNotStored
	default:
		return s, fmt.Errorf("%w: %s %s", errDirectGet, status, m.Header.Get("Description"))
	}
	s = stored{subject: m.Header.Get("Nats-Subject"), Msg: m}
	if s.sequence, err = strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64); err != nil {
		return s, fmt.Errorf("%w: sequence: %w", errDirectGet, err)
	}
	return s, nil
}
