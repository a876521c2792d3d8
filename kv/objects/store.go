package objects

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"natscast/internal/media"
	"natscast/kv/bucket"
)

// Send calls a method at all users of an object.
// Nobody keeps it.
func (o *Objects) Send(name media.Name, c Call) error { return o.send(name, c, 0) }

func (o *Objects) send(name media.Name, c Call, after uint64) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if len(data) > MaxValue {
		return fmt.Errorf("%w: a call of %d bytes", ErrLimit, len(data))
	}
	m := nats.NewMsg(strings.TrimSuffix(o.bucket.Tail(), ">") + name.Subject() + "." + sendToken)
	m.Data = data
	if after > 0 {
		m.Header.Set(afterHeader, strconv.FormatUint(after, 10))
	}
	return away(o.js.Conn().PublishMsg(m))
}

// Write writes to an object whether it is in use or not, and returns the revision. It tries until
// ctx ends, for some seconds at most.
func (o *Objects) Write(
	ctx context.Context,
	name media.Name,
	w Write,
) (revision uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, writePatience)
	defer cancel()
	state, err := o.load(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("write object %s: %w", name, away(err))
	}
	if err := check(state, &w); err != nil {
		return 0, err
	}
	if state.IsIdle(&w) {
		return state.Revision, nil
	}
	number := o.number()
	messages := o.messages(state, &w, number, state.Version+1)
	revision, err = o.store(
		ctx,
		messages,
		strconv.FormatUint(number, 10),
		o.atomic && len(messages) > 1,
	)
	if err != nil {
		return 0, fmt.Errorf("write object %s: %w", name, err)
	}
	return revision, nil
}

// store stores messages together, and returns the revision of the last one.
func (o *Objects) store(
	ctx context.Context,
	messages []*nats.Msg,
	id string,
	batch bool,
) (revision uint64, err error) {
	for attempt := 1; ; attempt++ {
		o.address(messages, id, attempt, batch)
		revision, err = o.storeOnce(ctx, messages, batch)
		switch {
		case err == nil, errors.Is(err, ErrConflict), errors.Is(err, ErrLimit):
			return revision, err
		case ctx.Err() != nil, errors.Is(err, nats.ErrConnectionClosed):
			return 0, away(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(bucket.RetryInterval):
		}
	}
}

func (o *Objects) storeOnce(
	ctx context.Context,
	messages []*nats.Msg,
	batch bool,
) (revision uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptInterval)
	defer cancel()
	for i, m := range messages {
		if batch && i < len(messages)-1 {
			if err := o.js.Conn().PublishMsg(m); err != nil {
				return 0, err
			}
			continue
		}
		answer, err := o.js.Conn().RequestMsgWithContext(ctx, m)
		if err != nil {
			return 0, err
		}
		if revision, err = decodeAck(answer); err != nil {
			return 0, err
		}
	}
	return revision, nil
}

// away wraps an error of the store with ErrAway.
func away(err error) error {
	if err == nil || errors.Is(err, ErrAway) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrAway, err)
}
