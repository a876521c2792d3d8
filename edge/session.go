package edge

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"syscall"
	"time"

	"natscast/edge/objects"
	"natscast/internal/media"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/handshake"
	"natscast/internal/rtmp/message"
	"natscast/kv"
)

// How long a client may be silent.
const (
	handshakeTimeout = 5 * time.Second
	commandTimeout   = 10 * time.Second // until its first command
	idleTimeout      = 60 * time.Second // while it neither plays nor publishes
	publishTimeout   = 30 * time.Second // while it publishes; its name is taken meanwhile
)

const (
	// maxStreams is how many message streams a connection may have.
	maxStreams = 16
	// window is the acknowledgement window that both sides are told of.
	window = 2_500_000
)

// session is one client connection, of RTMP or HTTP-FLV. Its goroutine reads and answers; all that it
// sends goes through the outbox.
type session struct {
	// Static after construction.
	edge   *Edge
	number uint64 // of the connection on this node
	log    *slog.Logger
	ctx    context.Context // ends when the node stops
	conn   net.Conn
	in     *chunk.Reader // of RTMP
	out    *outbox
	since  time.Time

	// Owned by the session's goroutine.
	app       string // "" before connect
	client    string // what the client calls itself
	moves     bool   // the client follows a ReconnectRequest
	isSRS     bool   // the client is an SRS edge
	routed    bool   // the client was placed here
	streams   map[uint32]*stream
	worker    int             // index among the edge's workers; -1 before the first play
	ackWindow uint64          // the client wants an Acknowledgement that often
	acked     uint64          // bytes acknowledged
	deadline  time.Time       // of reading
	frames    []media.Frame   // scratch
	objects   *objects.Client // nil before the first use of one

	told kv.Connection // to the cluster; guarded by edge.mu
}

// errBye ends a session whose client said goodbye.
var errBye = errors.New("closed by the client")

// serveConn has a session run on a connection, until that ends.
func (e *Edge) serveConn(ctx context.Context, c net.Conn, run func(*session) error) {
	number := e.sessions.Add(1)
	log := e.log.With("conn", number, "client", c.RemoteAddr().String())
	defer func() {
		if r := recover(); r != nil {
			e.count.panics.Add(1)
			log.Error("panic in a session", "panic", r, "stack", string(debug.Stack()))
		}
	}()
	e.count.connections.Add(1)
	defer e.count.connections.Add(-1)
	out, err := newOutbox(c)
	if err != nil {
		log.Error("connection refused", "err", err)
		c.Close()
		return
	}
	defer out.abort(net.ErrClosed)
	stop := context.AfterFunc(ctx, func() { out.abort(net.ErrClosed) })
	defer stop()
	err = run(newSession(ctx, e, number, c, out, log))
	switch {
	case ctx.Err() != nil:
		log.Debug("session ended: the node stops")
	case errors.Is(err, io.EOF), errors.Is(err, errBye), errors.Is(err, errOver), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		log.Debug("session ended", "err", err)
	default:
		log.Info("session ended", "err", err)
	}
}

func newSession(ctx context.Context, e *Edge, number uint64, c net.Conn, out *outbox, log *slog.Logger) *session {
	return &session{
		edge: e, number: number, log: log, ctx: ctx, conn: c, out: out, since: time.Now().UTC(),
		streams:   map[uint32]*stream{},
		worker:    -1,
		ackWindow: window,
	}
}

// run serves an RTMP client until it leaves. The error says why it ended.
func (s *session) run() (err error) {
	defer func() { err = s.close(err) }()
	s.conn.SetDeadline(time.Now().Add(handshakeTimeout))
	if err := handshake.Server(s.conn); err != nil {
		return err
	}
	s.conn.SetDeadline(time.Time{})
	s.in = chunk.NewReader(s.conn, chunk.DefaultLimits())
	for {
		s.extendDeadline()
		m, err := s.in.Read()
		if err != nil {
			return err
		}
		if err := s.handle(m); err != nil {
			return err
		}
		s.acknowledge()
	}
}

// close ends all that the client played and published, and returns why the connection ended.
func (s *session) close(err error) error {
	for id := range s.streams {
		s.closeStream(id)
	}
	if s.objects != nil {
		s.objects.Close()
	}
	s.edge.forget(s)
	err = s.out.close(err)
	if s.worker >= 0 {
		s.edge.workers[s.worker].clients.Add(-1)
	}
	s.edge.count.sentBytes.Add(s.out.sent)
	return err
}

// extendDeadline gives the client time for its next message. A player, or one that uses shared objects, may be silent as long as
// it takes what it is sent. Setting a deadline costs; doing it once a second is enough.
func (s *session) extendDeadline() {
	timeout := idleTimeout
	if s.app == "" {
		timeout = commandTimeout
	}
	plays, publishes := false, false
	for _, st := range s.streams {
		plays = plays || st.player != nil
		if st.sink != nil {
			publishes, timeout = true, publishTimeout
		}
	}
	listens := plays || !publishes && s.objects != nil && s.objects.Used() > 0
	if listens {
		if !s.deadline.IsZero() {
			s.deadline = time.Time{}
			s.conn.SetReadDeadline(s.deadline)
		}
		return
	}
	if d := time.Now().Add(timeout); d.Sub(s.deadline).Abs() > time.Second {
		s.deadline = d
		s.conn.SetReadDeadline(d)
	}
}

// acknowledge tells the client what has been received, each half of its window (5.4.3), but not while more is there to be read: who waits for the
// acknowledgement sends nothing more, and whoever has closed the connection, at the end of a file that it sent as fast as it could, loses what is still on its way
// when the node sends something.
func (s *session) acknowledge() {
	if n := s.in.BytesRead(); n-s.acked >= s.ackWindow/2 && !s.out.hasInput() {
		s.acked = n
		s.send(message.Acknowledgement(n))
	}
}

func (s *session) send(messages ...chunk.Message) { s.out.send(frame(messages...)) }

// frame puts messages into RTMP chunks.
func frame(messages ...chunk.Message) []byte {
	var b []byte
	for _, m := range messages {
		b = chunk.Append(b, m, chunkSize)
	}
	return b
}

// handle takes one message. An error ends the session.
func (s *session) handle(m chunk.Message) error {
	switch m.Type {
	case message.TypeAudio, message.TypeVideo, message.TypeData, message.TypeDataAMF3, message.TypeAggregate:
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
		s.objects = s.edge.objects.NewClient(s.conn.RemoteAddr().String(), s.out)
	}
	return s.objects.RTMP(s.app, m)
}
