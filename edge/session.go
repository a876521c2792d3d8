package edge

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"natscast/edge/conn"
	"natscast/edge/objects"
	"natscast/edge/wire"
	"natscast/internal/media"
	"natscast/internal/reason"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/handshake"
	"natscast/internal/rtmp/message"
)

// How long a client may be silent.
const (
	handshakeTimeout = 5 * time.Second
	commandTimeout   = 10 * time.Second // until its first command
	idleTimeout      = 60 * time.Second // while it neither plays nor publishes
	publishTimeout   = 30 * time.Second // while it publishes; its name is taken meanwhile
	// A client that only listens rests, without a goroutine and without a buffer. One that has said
	// something so soon keeps them for as long.
	restAfter = 500 * time.Millisecond
)

const (
	// maxStreams is how many message streams a connection may have.
	maxStreams = 16
	// window is the acknowledgement window that both sides are told of.
	window = 2_500_000
)

// session is one client connection, of RTMP or HTTP-FLV. A goroutine reads and answers, but not
// while the client rests; all that it sends goes through the outbox.
type session struct {
	// Static after construction.
	edge   *Edge
	number uint64          // of the connection on this node
	ctx    context.Context // ends when the node stops
	conn   net.Conn
	remote string        // address
	in     *chunk.Reader // of RTMP
	out    *conn.Outbox
	since  time.Time
	rests  bool         // when the client is silent
	listen func() error // takes what the client says; set when it has begun

	// Owned by the session's goroutine of the moment.
	app       string // "" before connect
	client    string // what the client calls itself
	moves     bool   // the client follows a ReconnectRequest
	isSRS     bool   // the client is an SRS edge
	routed    bool   // the client was placed here
	streams   []*stream
	worker    int             // of the live streams; -1 before the first play
	ackWindow uint64          // the client wants an Acknowledgement that often
	acked     uint64          // bytes acknowledged
	deadline  time.Time       // of reading
	listens   bool            // the client may be silent
	talks     bool            // the client has rested for a moment only
	awaiting  bool            // nothing of the next message has been read
	rested    time.Time       // since when the client rests
	frames    []media.Frame   // scratch
	objects   *objects.Client // nil before the first use of one

	// As the cluster was told; guarded by edge.mu.
	role    string
	follows media.Name
}

var (
	// errBye ends a session whose client said goodbye.
	errBye = errors.New("closed by the client")
	// errSilent has a session rest.
	errSilent = errors.New("the client is silent")
)

// serveConn has a session begin on a connection. When that has ended, here or after its client has
// rested, it is no longer among those that e.serving counts.
func (e *Edge) serveConn(ctx context.Context, c net.Conn, begin func(*session) error) {
	number := e.sessions.Add(1)
	out, err := conn.New(c)
	if err != nil {
		e.log.Error("connection refused", "client", c.RemoteAddr().String(), "err", err)
		c.Close()
		e.serving.Done()
		return
	}
	e.count.connections.Add(1)
	s := newSession(ctx, e, number, c, out)
	e.enlist(s)
	s.run(func() error { return begin(s) })
}

func newSession(
	ctx context.Context,
	e *Edge,
	number uint64,
	c net.Conn,
	out *conn.Outbox,
) *session {
	return &session{
		edge: e, number: number, ctx: ctx, conn: c, remote: c.RemoteAddr().String(), out: out, since: time.Now().UTC(),
		worker: -1, ackWindow: window, rests: out.CanPark(e.lot),
	}
}

// log is made when there is something to say: to keep it would take as much memory as all else that
// a silent client needs.
func (s *session) log() *slog.Logger {
	log := s.edge.log.With("conn", s.number, "client", s.remote)
	if s.app == "" {
		return log
	}
	return log.With("app", clip(s.app), "software", s.client)
}

// debug logs what is of interest to developers.
func (s *session) debug(message string, args ...any) {
	if s.edge.log.Enabled(s.ctx, slog.LevelDebug) {
		s.log().Debug(message, args...)
	}
}

// run does a part of a session, its begin or what its client has woken it for, and goes on until
// the client rests or the session has ended.
func (s *session) run(part func() error) {
	for {
		err := s.try(part)
		if !errors.Is(err, errSilent) {
			s.end(err)
			return
		}
		s.rested = time.Now()
		if s.out.Park(s.edge.lot, s.resume) {
			return
		}
		s.talks, part = true, s.listen
	}
}

// resume goes on when the client that rests says something, or is gone.
func (s *session) resume() {
	s.talks = time.Since(s.rested) < restAfter
	s.run(s.listen)
}

// try does a part of a session, and makes an error of a panic.
func (s *session) try(part func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.log().Error("panic in a session", "panic", r, "stack", string(debug.Stack()))
			err = reason.Panic
		}
	}()
	return part()
}

// end ends the session, for a reason.
func (s *session) end(err error) {
	defer s.edge.serving.Done()
	defer s.edge.count.connections.Add(-1)
	defer s.out.Abort(net.ErrClosed)
	s.edge.discharge(s)
	err = s.try(func() error { return s.close(err) })
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = reason.Silent
	}
	s.edge.reasons.AddError(reason.Closed, err)
	switch {
	case s.ctx.Err() != nil:
		s.debug("session ended: the node stops")
	case errors.Is(err, io.EOF),
		errors.Is(err, errBye),
		errors.Is(err, conn.ErrOver),
		errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE):
		s.debug("session ended", "err", err)
	default:
		s.log().Info("session ended", reason.Log(err)...)
	}
}

// beginRTMP serves an RTMP client until it leaves, or rests. The error says why it ended.
func (s *session) beginRTMP() error {
	s.conn.SetDeadline(time.Now().Add(handshakeTimeout))
	if err := handshake.Server(s.conn); err != nil {
		return err
	}
	s.conn.SetDeadline(time.Time{})
	s.in = chunk.NewReader(s, chunk.DefaultLimits())
	s.listen = s.converse
	return s.converse()
}

// converse takes what the client says until it leaves, or rests.
func (s *session) converse() error {
	for {
		s.extendDeadline()
		if err := s.awaitInput(); err != nil {
			return err
		}
		m, err := s.in.Read()
		if err != nil {
			return err
		}
		if err := s.handle(m); err != nil {
			return err
		}
		s.acknowledge()
		s.listens = s.mayBeSilent()
		if s.listens && s.rests && !s.talks && s.in.Release() {
			return errSilent
		}
	}
}

// awaitInput waits until the client says something. It fails with errSilent when the client is to
// rest.
func (s *session) awaitInput() error {
	s.awaiting = true
	err := s.in.Await()
	s.awaiting = false
	if s.listens && errors.Is(err, os.ErrDeadlineExceeded) && s.in.Release() {
		return errSilent
	}
	return err
}

// Read reads from the connection, for the parser. A client that only listens may take its time once
// it has begun to say something.
func (s *session) Read(b []byte) (int, error) {
	n, err := s.conn.Read(b)
	if n == 0 && s.listens && !s.awaiting && errors.Is(err, os.ErrDeadlineExceeded) {
		s.clearDeadline()
		return s.conn.Read(b)
	}
	return n, err
}

// close ends all that the client played and published, and returns why the connection ended.
func (s *session) close(err error) error {
	for _, st := range s.streams {
		s.closeStream(st.id)
	}
	if s.objects != nil {
		s.objects.Close()
	}
	s.edge.forget(s)
	err = s.out.Close(err)
	if s.worker >= 0 {
		s.edge.live.Release(s.worker)
	}
	s.edge.count.sentBytes.Add(s.out.Sent())
	return err
}

// mayBeSilent says that the client plays, or uses shared objects and does not publish: it may be
// silent as long as it takes what it is sent.
func (s *session) mayBeSilent() bool {
	for _, st := range s.streams {
		if st.player != nil {
			return true
		}
	}
	return !s.publishes() && s.objects != nil && s.objects.Used() > 0
}

// extendDeadline gives the client time for its next message.
func (s *session) extendDeadline() {
	switch {
	case s.listens && s.rests && s.talks:
		s.setDeadline(restAfter, restAfter/2)
	case s.listens:
		s.clearDeadline()
	case s.app == "":
		s.setDeadline(commandTimeout, time.Second)
	case s.publishes():
		s.setDeadline(publishTimeout, time.Second)
	default:
		s.setDeadline(idleTimeout, time.Second)
	}
}

func (s *session) publishes() bool {
	for _, st := range s.streams {
		if st.sink != nil {
			return true
		}
	}
	return false
}

// setDeadline gives the client so long, about: to set it costs, so one that is about right stays.
func (s *session) setDeadline(timeout, about time.Duration) {
	if d := time.Now().Add(timeout); d.Sub(s.deadline).Abs() > about {
		s.deadline = d
		s.conn.SetReadDeadline(d)
	}
}

func (s *session) clearDeadline() {
	if !s.deadline.IsZero() {
		s.deadline = time.Time{}
		s.conn.SetReadDeadline(s.deadline)
	}
}

// acknowledge tells the client what has been received, each half of its window (5.4.3), but not
// while more is there to be read: who waits for the acknowledgement sends nothing more, and whoever
// has closed the connection, at the end of a file that it sent as fast as it could, loses what is
// still on its way when the node sends something.
func (s *session) acknowledge() {
	if n := s.in.BytesRead(); n-s.acked >= s.ackWindow/2 && !s.out.HasInput() {
		s.acked = n
		s.send(message.Acknowledgement(n))
	}
}

func (s *session) send(messages ...chunk.Message) { s.out.Send(frame(messages...)) }

// frame puts messages into RTMP chunks.
func frame(messages ...chunk.Message) []byte {
	var b []byte
	for _, m := range messages {
		b = chunk.Append(b, m, wire.ChunkSize)
	}
	return b
}

// handle takes one message. An error ends the session.
func (s *session) handle(m chunk.Message) error {
	switch m.Type {
	case message.TypeAudio,
		message.TypeVideo,
		message.TypeData,
		message.TypeDataAMF3,
		message.TypeAggregate:
		return s.media(m)
	case message.TypeCommand, message.TypeCommandAMF3:
		c, err := message.DecodeCommand(m)
		if err != nil {
			return err
		}
		return s.command(c)
	case message.TypeSharedObject, message.TypeSharedObjectAMF3:
		return s.sharedObject(m)
	case message.TypeWindowAckSize:
		c, err := message.DecodeControl(m)
		if err != nil {
			return err
		}
		s.ackWindow = max(uint64(c.Value), 1<<16)
	case message.TypeUserControl:
		c, err := message.DecodeUserControl(m)
		if err != nil {
			return err
		}
		switch c.Event {
		case message.PingRequest:
			s.send(userControl(message.PingResponse, c.Value))
		case message.SetBufferLength:
			s.setBuffer(c.Value, time.Duration(c.Buffer)*time.Millisecond)
		}
	}
	// Acknowledgements and Set Peer Bandwidth tell us nothing that the socket does not;
	// unknown types have no meaning here.
	return nil
}

// sharedObject handles a message of a shared object.
func (s *session) sharedObject(m chunk.Message) error {
	if s.app == "" {
		return errNotConnected
	}
	if s.objects == nil {
		s.objects = s.edge.objects.NewClient(s.remote, s.out)
	}
	return s.objects.RTMP(s.app, m)
}
