package static

import (
	"bytes"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"natscast/bus/direct"
	"natscast/internal/eventually"
	"natscast/internal/media"
	"natscast/internal/natsserver"
	"natscast/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newStores starts a server, and a store on it that has made the cache.
func newStores(t testing.TB) (*natsserver.Server, *Store) {
	t.Helper()
	server := natstest.Server(t, 0)
	s := newStore(t, server)
	js, err := jetstream.New(s.conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), s.StreamConfig()); err != nil {
		t.Fatal(err)
	}
	return server, s
}

// newStore returns a store for the time of the test.
func newStore(t testing.TB, server *natsserver.Server) *Store {
	t.Helper()
	s := New(natstest.Conns(t, server).Static, Options{
		Age: 10 * time.Minute, Bytes: 256 << 20, Storage: jetstream.MemoryStorage,
	})
	t.Cleanup(s.Close)
	return s
}

const asset = "0123456789abcdef"

// content is a made-up asset: segments of some sizes, which it counts when they are read.
type content struct {
	segments [][]byte
	reads    atomic.Int32
}

func newContent(sizes ...int) *content {
	c := &content{}
	for i, size := range sizes {
		c.segments = append(c.segments, bytes.Repeat([]byte{byte(i + 1)}, size))
	}
	return c
}

func (c *content) asset() Asset {
	a := Asset{Name: "vod/film.mp4", ID: asset, Duration: uint32(len(c.segments)) * 1000}
	for i, s := range c.segments {
		a.Starts = append(a.Starts, uint32(i)*1000)
		a.Sizes = append(a.Sizes, uint32(len(s)))
	}
	return a
}

func (c *content) read(n int) (Segment, error) {
	c.reads.Add(1)
	return Segment{Payload: c.segments[n], Headers: min(13, len(c.segments[n]))}, nil
}

func offer(t *testing.T, s *Store, c *content, others ...media.Name) *Offer {
	t.Helper()
	o, err := s.Offer(c.asset(), others, c.read)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	if err := s.conn.FlushTimeout(findLimit); err != nil {
		t.Fatal(err)
	}
	return o
}

func checkSegment(t *testing.T, s *Store, c *content, n int) {
	t.Helper()
	got, err := s.Segment(t.Context(), asset, n)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Payload, c.segments[n]) || got.Headers != min(13, len(c.segments[n])) {
		t.Errorf(
			"segment %d has %d bytes, %d of headers; want %d",
			n,
			len(got.Payload),
			got.Headers,
			len(c.segments[n]),
		)
	}
}

func TestStatic(t *testing.T) {
	t.Parallel()
	server, origin := newStores(t)
	edge := newStore(t, server)
	c := newContent(100, 0, 3*maxPart, 3*maxPart+1, 8<<20)
	offer(t, origin, c, "vod/film")

	for _, name := range []media.Name{"vod/film.mp4", "vod/film"} {
		a, err := edge.Find(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if a.Name != "vod/film.mp4" || a.ID != asset || a.Duration != 5000 || len(a.Starts) != 5 ||
			a.Sizes[4] != 8<<20 {
			t.Errorf("%s: found %+v", name, a)
		}
	}
	if _, err := edge.Find(t.Context(), "vod/other"); !errors.Is(err, ErrNoAsset) {
		t.Errorf("what nobody has: %v", err)
	}
	for round := range 2 {
		for n := range c.segments {
			checkSegment(t, edge, c, n)
		}
		if reads := c.reads.Load(); reads != 5 {
			t.Errorf("round %d: the file was read %d times, want 5", round, reads)
		}
	}
	if _, err := edge.Segment(t.Context(), asset, 5); !errors.Is(err, ErrSegment) {
		t.Errorf("a segment behind the end: %v", err)
	}
	if _, err := edge.Segment(t.Context(), "00", 0); !errors.Is(err, ErrNoAsset) {
		t.Errorf("a segment of what nobody has: %v", err)
	}
}

// What nobody has stored takes two questions: to the store, and to the origin. What is stored takes
// one.
func TestStaticQuestions(t *testing.T) {
	t.Parallel()
	server, origin := newStores(t)
	edge := newStore(t, server)
	c := newContent(100, 3*maxPart)
	offer(t, origin, c, "vod/film")
	var stored, asked atomic.Int64
	for subject, count := range map[string]*atomic.Int64{
		"$JS.API.DIRECT.GET." + streamName: &stored, readSubject(asset): &asked,
	} {
		if _, err := origin.conn.Subscribe(subject, func(*nats.Msg) { count.Add(1) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := origin.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	for round := range int64(2) {
		for n := range c.segments {
			checkSegment(t, edge, c, n)
		}
		want := 2 * (round + 1)
		eventually.True(t, "the questions to the store", func() bool { return stored.Load() >= want })
		if stored.Load() != want || asked.Load() != 2 {
			t.Errorf("round %d: %d questions to the store, %d to the origin", round, stored.Load(), asked.Load())
		}
	}
}

// Many that ask at the same time cause one reading.
func TestStaticReadsOnce(t *testing.T) {
	t.Parallel()
	server, origin := newStores(t)
	c := newContent(2 << 20)
	slow := make(chan struct{})
	o, err := origin.Offer(c.asset(), nil, func(n int) (Segment, error) {
		<-slow
		return c.read(n)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	var reading sync.WaitGroup
	for range 4 {
		edge := newStore(t, server)
		reading.Go(func() {
			if s, err := edge.Segment(t.Context(), asset, 0); err != nil ||
				len(s.Payload) != 2<<20 {
				t.Errorf("read %d bytes: %v", len(s.Payload), err)
			}
		})
	}
	time.AfterFunc(100*time.Millisecond, func() { close(slow) })
	reading.Wait()
	if n := c.reads.Load(); n != 1 {
		t.Errorf("read %d times", n)
	}
}

// One of two origins goes, in either way; what is half gone from the store is stored anew.
func TestStaticOriginGoes(t *testing.T) {
	t.Parallel()
	server, one := newStores(t)
	two := newStore(t, server)
	edge := newStore(t, server)
	c := newContent(1000, 3*maxPart, 1000, 1000)
	offer(t, two, c)
	o := offer(t, one, c)
	checkSegment(t, edge, c, 0)
	o.Close()
	checkSegment(t, edge, c, 1)

	js, err := jetstream.New(edge.conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), streamName)
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.GetLastMsgForSubject(t.Context(), segmentSubject(asset, 1)+".2")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), m.Sequence); err != nil {
		t.Fatal(err)
	}
	before := c.reads.Load()
	checkSegment(t, edge, c, 1)
	if n := c.reads.Load() - before; n != 1 {
		t.Errorf("read %d times for a part that was gone", n)
	}
}

// An offer that is withdrawn is not found, and goes on for those who have found it.
func TestWithdraw(t *testing.T) {
	t.Parallel()
	_, s := newStores(t)
	c := newContent(10, 20)
	o := offer(t, s, c)
	o.Withdraw()
	if _, err := s.Find(t.Context(), "vod/film.mp4"); !errors.Is(err, ErrNoAsset) {
		t.Errorf("found: %v", err)
	}
	checkSegment(t, s, c, 1)
	o.Close()
	if _, err := s.Segment(t.Context(), asset, 0); !errors.Is(err, ErrNoAsset) {
		t.Errorf("closed: %v", err)
	}
	checkSegment(t, s, c, 1) // which is stored
}

// Close waits for a read that has begun: its file may be closed then.
func TestCloseWaitsForReads(t *testing.T) {
	t.Parallel()
	_, s := newStores(t)
	began, free := make(chan struct{}), make(chan struct{})
	var over atomic.Bool
	a := Asset{Name: "vod/slow", ID: "5104", Starts: []uint32{0}, Sizes: []uint32{1}}
	o, err := s.Offer(a, nil, func(int) (Segment, error) {
		close(began)
		<-free
		over.Store(true)
		return Segment{Payload: []byte{0}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.conn.PublishRequest(readSubject(a.ID), s.conn.NewInbox(), []byte("0")); err != nil {
		t.Fatal(err)
	}
	<-began
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		o.Close()
		if !over.Load() {
			t.Error("closed during a read")
		}
	}()
	eventually.True(t, "no read begins any more", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.closed
	})
	if o.begin() {
		t.Error("a read begins after the end")
	}
	close(free)
	<-closed
}

// Who has asked just before an offer ends is answered: nothing, which means to ask again.
func TestAskedAtTheEnd(t *testing.T) {
	t.Parallel()
	_, s := newStores(t)
	o := offer(t, s, newContent(10))
	const busy = "busy"
	began, free := make(chan struct{}), make(chan struct{})
	if _, err := s.responder.Add(s.conn, busy, func(*nats.Msg) {
		close(began)
		<-free
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.conn.Publish(busy, nil); err != nil {
		t.Fatal(err)
	}
	<-began
	found := make(chan error, 1)
	go func() {
		_, err := s.Find(t.Context(), "vod/film.mp4")
		found <- err
	}()
	eventually.True(t, "asked", func() bool { return s.responder.Waiting() == 1 })
	o.Close()
	asked := time.Now()
	close(free)
	if err := <-found; !errors.Is(err, ErrNoAsset) || time.Since(asked) > findTimeout/2 {
		t.Errorf("after %v: %v", time.Since(asked), err)
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	_, s := newStores(t)
	c := newContent(10)
	o, err := s.Offer(
		c.asset(),
		nil,
		func(int) (Segment, error) { return Segment{}, errors.New("the disk is on fire") },
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	_, err = s.Segment(t.Context(), asset, 0)
	if !errors.Is(err, ErrSegment) || !bytes.Contains([]byte(err.Error()), []byte("on fire")) {
		t.Errorf("got %v", err)
	}
}

func TestJoinSegmentErrors(t *testing.T) {
	t.Parallel()
	part := func(part, headers string, size int) direct.Message {
		m := nats.NewMsg("x")
		m.Header.Set(headerPart, part)
		m.Header.Set(headerHeaders, headers)
		m.Data = make([]byte, size)
		return direct.Message{Msg: m}
	}
	for name, page := range map[string][]direct.Message{
		"one of two":        {part("1/2", "0", 5)},
		"twice the same":    {part("1/2", "0", 5), part("1/2", "0", 5)},
		"no number":         {part("x", "0", 5)},
		"number 0":          {part("0/1", "0", 5)},
		"beyond the count":  {part("2/1", "0", 5)},
		"too many":          {part("1/99999", "0", 5)},
		"no headers":        {part("1/1", "", 5)},
		"negative headers":  {part("1/1", "-1", 5)},
		"headers too large": {part("1/1", "6", 5)},
	} {
		if s, err := joinSegment(page); err == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func BenchmarkSegment(b *testing.B) {
	_, origin := newStores(b)
	c := newContent(1 << 20)
	o, err := origin.Offer(c.asset(), nil, c.read)
	if err != nil {
		b.Fatal(err)
	}
	defer o.Close()
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := origin.Segment(b.Context(), asset, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// However many ask for segments, the node reads a few at once, answers all, and refuses what finds
// no room: who was refused asks again.
func TestFloodOfReads(t *testing.T) {
	t.Parallel()
	const asked = readers + readQueue + 500
	server, origin := newStores(t)
	a := Asset{
		Name:   "vod/flood",
		ID:     "f100d",
		Starts: make([]uint32, asked),
		Sizes:  make([]uint32, asked),
	}
	var reading, most atomic.Int64
	free := make(chan struct{})
	o, err := origin.Offer(a, nil, func(int) (Segment, error) {
		most.Store(max(most.Load(), reading.Add(1)))
		defer reading.Add(-1)
		<-free
		return Segment{}, errors.New("not now")
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)

	nc := newStore(t, server).conn
	inbox := nc.NewInbox()
	answers := make(chan *nats.Msg, 2*asked)
	if _, err := nc.ChanSubscribe(inbox, answers); err != nil {
		t.Fatal(err)
	}
	for n := range asked {
		if err := nc.PublishRequest(readSubject(a.ID), inbox, []byte(strconv.Itoa(n))); err != nil {
			t.Fatal(err)
		}
	}
	eventually.True(
		t,
		"some are refused",
		func() bool { return origin.RefusedReads() >= asked-readers-readQueue },
	)
	close(free)
	for range asked {
		<-answers
	}
	if n := most.Load(); n > readers {
		t.Errorf("%d were read at once", n)
	}
}
