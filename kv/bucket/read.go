package bucket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// One page of what is stored.
const (
	pageMessages = 5000
	// filterMessages are few: a filter matches the attributes of one object, most often.
	filterMessages = 500
	pageBytes      = 4 << 20
)

// errRead says that a bucket could not be read.
var errRead = errors.New("read")

// Snapshot reads all keys that have a value, and the newest revision that it has seen. What is
// known already is not decoded anew.
func (b *Bucket[T]) Snapshot(
	ctx context.Context,
	known map[string]Stored[T],
) (entries map[string]Stored[T], head uint64, err error) {
	entries = map[string]Stored[T]{}
	err = b.Each(ctx, func(key string, value []byte, revision uint64) {
		head = max(head, revision)
		if len(value) > 0 {
			entries[key] = b.Read(key, value, revision, known[key])
		} else {
			delete(entries, key)
		}
	})
	return entries, head, err
}

// Each visits what is stored, in the order in which it was written: entries, and the marks, without
// a value, of those that were removed lately. What changes meanwhile is visited too, or is yet to
// come as an event. It reads page by page, from any replica: a KV watch never completes when
// something is purged while it begins.
func (b *Bucket[T]) Each(
	ctx context.Context,
	visit func(key string, value []byte, revision uint64),
) error {
	next := uint64(1)
	for more := true; more; {
		page, pending, err := b.Page(ctx, next)
		if err != nil {
			return fmt.Errorf("%w bucket %s: %w", errRead, b.Name, err)
		}
		for _, m := range page {
			revision, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
			if err != nil {
				return fmt.Errorf("%w bucket %s: revision: %w", errRead, b.Name, err)
			}
			visit(b.Key(m.Header.Get(jetstream.SubjectHeader)), m.Data, revision)
			next = revision + 1
		}
		more = pending && len(page) > 0
	}
	return nil
}

// Page reads what is stored from a revision on, and says whether there is more. It names no
// subject, though a bucket has but one kind: with a filter, the server counts all that match for
// each page.
func (b *Bucket[T]) Page(
	ctx context.Context,
	from uint64,
) (page []*nats.Msg, pending bool, err error) {
	return b.direct(ctx, pageMessages, map[string]any{"seq": from, "max_bytes": pageBytes})
}

// Below visits what is stored of the subjects that match a filter, from a revision on, like each.
// It costs by what is stored after that revision.
func (b *Bucket[T]) Below(
	ctx context.Context,
	filter string,
	from uint64,
	visit func(m *nats.Msg, revision uint64),
) error {
	for more := true; more; {
		page, pending, err := b.direct(ctx, filterMessages, map[string]any{
			"seq": from, "next_by_subj": filter, "max_bytes": pageBytes,
		})
		if err != nil {
			return fmt.Errorf("%w %s of bucket %s: %w", errRead, filter, b.Name, err)
		}
		for _, m := range page {
			revision, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
			if err != nil {
				return fmt.Errorf("%w %s of bucket %s: revision: %w", errRead, filter, b.Name, err)
			}
			visit(m, revision)
			from = revision + 1
		}
		more = pending && len(page) > 0
	}
	return nil
}

// Next reads the first message of the subjects that match a filter from a revision on, nil for
// none. The server does not count the rest, so it costs much less than a page.
func (b *Bucket[T]) Next(
	ctx context.Context,
	filter string,
	from uint64,
) (m *nats.Msg, revision uint64, err error) {
	request, err := json.Marshal(map[string]any{"seq": from, "next_by_subj": filter})
	if err != nil {
		return nil, 0, err
	}
	m, err = b.JS.Conn().RequestWithContext(ctx, "$JS.API.DIRECT.GET.KV_"+b.Name, request)
	if err != nil {
		return nil, 0, fmt.Errorf("%w %s of bucket %s: %w", errRead, filter, b.Name, err)
	}
	switch status := m.Header.Get("Status"); status {
	case "":
		revision, err = strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	case "404":
		return nil, 0, nil
	default:
		err = errors.New(status + " " + m.Header.Get("Description"))
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%w %s of bucket %s: %w", errRead, filter, b.Name, err)
	}
	return m, revision, nil
}

// RevisionAt returns the first revision that was written after a time and is still stored, 0 for
// none.
func (b *Bucket[T]) RevisionAt(ctx context.Context, t time.Time) (uint64, error) {
	page, _, err := b.direct(
		ctx,
		1,
		map[string]any{"start_time": t.UTC(), "next_by_subj": b.Subject(">")},
	)
	if err != nil || len(page) == 0 {
		return 0, err
	}
	return strconv.ParseUint(page[0].Header.Get(jetstream.SequenceHeader), 10, 64)
}

// direct reads as many messages at most from any replica, and says whether there are more of that
// kind.
func (b *Bucket[T]) direct(
	ctx context.Context,
	batch int,
	what map[string]any,
) (page []*nats.Msg, pending bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	what["batch"] = batch
	request, err := json.Marshal(what)
	if err != nil {
		return nil, false, err
	}
	nc := b.JS.Conn()
	inbox := nc.NewInbox()
	answers := make(chan *nats.Msg, batch+1) // one for the end
	sub, err := nc.ChanSubscribe(inbox, answers)
	if err != nil {
		return nil, false, err
	}
	// Its error says that the connection was closed, and the subscription with it.
	defer func() { _ = sub.Unsubscribe() }()
	if err := nc.PublishRequest("$JS.API.DIRECT.GET.KV_"+b.Name, inbox, request); err != nil {
		return nil, false, err
	}
	for {
		var m *nats.Msg
		select {
		case m = <-answers:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
		switch status := m.Header.Get("Status"); status {
		case "":
			page = append(page, m)
		case "204": // the end of the page
			return page, m.Header.Get("Nats-Num-Pending") != "0", nil
		case "404": // nothing from there on
			return nil, false, nil
		default:
			return nil, false, fmt.Errorf("%s %s", status, m.Header.Get("Description"))
		}
	}
}

// Latest reads an entry from the bucket's leader, which no write has escaped: a replica,
// which answers other reads, may lag. Where the key is free, the value is empty.
func (b *Bucket[T]) Latest(
	ctx context.Context,
	key string,
) (value []byte, revision uint64, err error) {
	request, err := json.Marshal(map[string]string{"last_by_subj": b.Subject(key)})
	if err != nil {
		return nil, 0, err
	}
	answer, err := b.JS.Conn().RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET.KV_"+b.Name, request)
	if err != nil {
		return nil, 0, err
	}
	return decodeLatest(answer.Data)
}

// decodeLatest reads JetStream's answer to a request for a message.
func decodeLatest(answer []byte) (value []byte, revision uint64, err error) {
	const notFound = 10037
	var a struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Sequence uint64 `json:"seq"`
			Data     []byte `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return nil, 0, fmt.Errorf("%w: answer of the store: %w", ErrValue, err)
	}
	if a.Error != nil && a.Error.ErrorCode != notFound {
		return nil, 0, a.Error
	}
	return a.Message.Data, a.Message.Sequence, nil
}
