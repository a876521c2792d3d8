// Package direct asks JetStream for stored messages, and reads answers of that kind. Any replica of
// a stream answers, without its leader.
package direct

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// Errors of asking.
var (
	// ErrNotStored says that nothing matches.
	ErrNotStored = errors.New("not stored")
	// Err is wrapped by every other error.
	Err = errors.New("direct get")
)

// Headers of an answer. A page has an empty message at its end, whose status is StatusEnd.
const (
	HeaderStatus   = "Status"
	HeaderSubject  = "Nats-Subject"
	HeaderSequence = "Nats-Sequence"
	HeaderPending  = "Nats-Num-Pending"
	HeaderTime     = "Nats-Time-Stamp"
	StatusEnd      = "204"
)

// One page of a batch.
const (
	PageMessages = 1000
	PageBytes    = 8 << 20
)

// Request is JetStream's request for stored messages, which any replica
// answers. With a batch, or for the last ones, it is answered by a page of messages
// and a mark at its end, else by a single message.
type Request struct {
	Seq       uint64     `json:"seq,omitempty"`
	StartTime *time.Time `json:"start_time,omitempty"`
	LastFor   string     `json:"last_by_subj,omitempty"`
	NextFor   string     `json:"next_by_subj,omitempty"`
	Batch     int        `json:"batch,omitempty"`
	MaxBytes  int        `json:"max_bytes,omitempty"`

	MultiLast []string   `json:"multi_last,omitempty"`
	UpToTime  *time.Time `json:"up_to_time,omitempty"` // only what was stored before
}

func (r Request) single() bool { return r.Batch == 0 && len(r.MultiLast) == 0 }

// Message is a stored message.
type Message struct {
	Sequence uint64 // of the JetStream stream
	Subject  string // under which it is stored
	*nats.Msg
}

// Client asks over one connection, so much at once that the answers under way stay below what a
// server buffers for a client.
type Client struct {
	conn    *nats.Conn
	pages   chan struct{} // a token for each request for a page, of PageBytes at most
	singles chan struct{} // and for each one for a single message besides
}

// SinglesAtOnce is how many requests for a single message are under way at once.
const SinglesAtOnce = 6

const (
	pagesAtOnce = 3
	timeout     = 2 * time.Second
)

// New returns a client of the connection.
func New(conn *nats.Conn) *Client {
	return &Client{
		conn:    conn,
		pages:   make(chan struct{}, pagesAtOnce),
		singles: make(chan struct{}, SinglesAtOnce),
	}
}

// Get asks for messages of a JetStream stream. pending is how many more match beyond the page. It
// fails with [ErrNotStored] when nothing matches.
func (c *Client) Get(
	ctx context.Context,
	stream string,
	r Request,
) (page []Message, pending uint64, err error) {
	return c.Ask(ctx, subject(stream), r, r.single(), timeout)
}

func subject(stream string) string { return "$JS.API.DIRECT.GET." + stream }

// Ask asks at a subject: JetStream, or who answers as it does.
func (c *Client) Ask(
	ctx context.Context,
	subject string,
	request any,
	single bool,
	timeout time.Duration,
) (page []Message, pending uint64, err error) {
	select {
	case c.pages <- struct{}{}:
		defer func() { <-c.pages }()
	case <-ctx.Done():
		return nil, 0, fmt.Errorf("%w: %w", Err, ctx.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return ask(ctx, c.conn, subject, request, single)
}

// LastOf asks over a connection for the last message of each subject that matches a filter. The
// caller bounds how much of that is under way.
func LastOf(ctx context.Context, conn *nats.Conn, stream, filter string) ([]Message, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	page, _, err := ask(ctx, conn, subject(stream), Request{MultiLast: []string{filter}}, false)
	return page, err
}

func ask(
	ctx context.Context,
	conn *nats.Conn,
	subject string,
	request any,
	single bool,
) (page []Message, pending uint64, err error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", Err, err)
	}
	inbox := conn.NewInbox()
	answers, err := conn.SubscribeSync(inbox)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", Err, err)
	}
	// Its error says that the connection was closed, and the subscription with it.
	defer func() { _ = answers.Unsubscribe() }()
	if err := conn.PublishRequest(subject, inbox, body); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", Err, err)
	}
	return readPage(ctx, answers, single)
}

// One asks for a single message. It is cheaper than [Client.Get], and more of its kind may be under
// way.
func (c *Client) One(ctx context.Context, stream string, r Request) (Message, error) {
	select {
	case c.singles <- struct{}{}:
		defer func() { <-c.singles }()
	case <-ctx.Done():
		return Message{}, fmt.Errorf("%w: %w", Err, ctx.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body, err := json.Marshal(r)
	if err != nil {
		return Message{}, fmt.Errorf("%w: %w", Err, err)
	}
	m, err := c.conn.RequestWithContext(ctx, subject(stream), body)
	if err != nil {
		return Message{}, fmt.Errorf("%w: %s: %w", Err, stream, err)
	}
	return read(m)
}

func readPage(
	ctx context.Context,
	answers *nats.Subscription,
	single bool,
) (page []Message, pending uint64, err error) {
	for {
		m, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			return page, 0, fmt.Errorf("%w: %w", Err, err)
		}
		if m.Header.Get(HeaderStatus) == StatusEnd {
			pending, err := strconv.ParseUint(m.Header.Get(HeaderPending), 10, 64)
			if err != nil {
				return page, 0, fmt.Errorf("%w: end of the batch: %w", Err, err)
			}
			return page, pending, nil
		}
		s, err := read(m)
		if err != nil {
			return page, 0, err
		}
		page = append(page, s)
		if single {
			return page, 0, nil
		}
	}
}

// read reads an answer that is a message, or says why there is none.
func read(m *nats.Msg) (s Message, err error) {
	switch status := m.Header.Get(HeaderStatus); status {
	case "":
	case "404":
		return s, ErrNotStored
	default:
		return s, fmt.Errorf("%w: %s %s", Err, status, m.Header.Get("Description"))
	}
	s = Message{Subject: m.Header.Get(HeaderSubject), Msg: m}
	if s.Sequence, err = strconv.ParseUint(m.Header.Get(HeaderSequence), 10, 64); err != nil {
		return s, fmt.Errorf("%w: sequence: %w", Err, err)
	}
	return s, nil
}
