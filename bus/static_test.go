package bus

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natscast/internal/eventually"
	"natscast/internal/media"
)

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

func offer(t *testing.T, b *Bus, c *content, others ...media.Name) *Offer {
	t.Helper()
	o, err := b.Offer(c.asset(), others, c.read)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	if err := b.static.FlushTimeout(requestTimeout); err != nil {
		t.Fatal(err)
	}
	return o
}

func checkSegment(t *testing.T, b *Bus, c *content, n int) {
	t.Helper()
	s, err := b.ReadSegment(t.Context(), asset, n)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.Payload, c.segments[n]) || s.Headers != min(13, len(c.segments[n])) {
		t.Errorf(
			"segment %d has %d bytes, %d of headers; want %d",
			n,
			len(s.Payload),
			s.Headers,
			len(c.segments[n]),
		)
	}
}

func TestStatic(t *testing.T) {
	t.Parallel()
	server, origin := newShards(t)
	edge := newBus(t, Options{Server: server, Shards: 2})
	c := newContent(100, 0, 3*staticPart, 3*staticPart+1, 8<<20)
	offer(t, origin, c, "vod/film")

	for _, name := range []media.Name{"vod/film.mp4", "vod/film"} {
		a, err := edge.FindAsset(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if a.Name != "vod/film.mp4" || a.ID != asset || a.Duration != 5000 || len(a.Starts) != 5 ||
			a.Sizes[4] != 8<<20 {
			t.Errorf("%s: found %+v", name, a)
		}
	}
	if _, err := edge.FindAsset(t.Context(), "vod/other"); !errors.Is(err, ErrNoAsset) {
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
	if _, err := edge.ReadSegment(t.Context(), asset, 5); !errors.Is(err, ErrSegment) {
		t.Errorf("a segment behind the end: %v", err)
	}
	if _, err := edge.ReadSegment(t.Context(), "00", 0); !errors.Is(err, ErrNoAsset) {
		t.Errorf("a segment of what nobody has: %v", err)
	}
}

// What nobody has stored takes two questions: to the store, and to the origin. What is stored takes
// one.
func TestStaticQuestions(t *testing.T) {
	t.Parallel()
	server, origin := newShards(t)
	edge := newBus(t, Options{Server: server, Shards: 2})
	c := newContent(100, 3*staticPart)
	offer(t, origin, c, "vod/film")
	var stored, asked atomic.Int64
	for subject, count := range map[string]*atomic.Int64{
		"$JS.API.DIRECT.GET." + staticStream: &stored, readSubject(asset): &asked,
	} {
		if _, err := origin.static.Subscribe(subject, func(*nats.Msg) { count.Add(1) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := origin.static.Flush(); err != nil {
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
	server, origin := newShards(t)
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
		edge := newBus(t, Options{Server: server, Shards: 2})
		reading.Go(func() {
			if s, err := edge.ReadSegment(t.Context(), asset, 0); err != nil ||
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
	server, one := newShards(t)
	two := newBus(t, Options{Server: server, Shards: 2})
	edge := newBus(t, Options{Server: server, Shards: 2})
	c := newContent(1000, 3*staticPart, 1000, 1000)
	offer(t, two, c)
	o := offer(t, one, c)
	checkSegment(t, edge, c, 0)
	o.Close()
	checkSegment(t, edge, c, 1)

	stream, err := edge.js.Stream(t.Context(), staticStream)
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
	_, b := newShards(t)
	c := newContent(10, 20)
	o := offer(t, b, c)
	o.Withdraw()
	if _, err := b.FindAsset(t.Context(), "vod/film.mp4"); !errors.Is(err, ErrNoAsset) {
		t.Errorf("found: %v", err)
	}
	checkSegment(t, b, c, 1)
	o.Close()
	if _, err := b.ReadSegment(t.Context(), asset, 0); !errors.Is(err, ErrNoAsset) {
		t.Errorf("closed: %v", err)
	}
	checkSegment(t, b, c, 1) // which is stored
}

// Close waits for a read that has begun: its file may be closed then.
func TestCloseWaitsForReads(t *testing.T) {
	t.Parallel()
	_, b := newShards(t)
	began, free := make(chan struct{}), make(chan struct{})
	var over atomic.Bool
	a := Asset{Name: "vod/slow", ID: "5104", Starts: []uint32{0}, Sizes: []uint32{1}}
	o, err := b.Offer(a, nil, func(int) (Segment, error) {
		close(began)
		<-free
		over.Store(true)
		return Segment{Payload: []byte{0}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.static.PublishRequest(readSubject(a.ID), b.static.NewInbox(), []byte("0")); err != nil {
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
	_, b := newShards(t)
	o := offer(t, b, newContent(10))
	const busy = "busy"
	began, free := make(chan struct{}), make(chan struct{})
	if _, err := b.responder.add(b.static, busy, func(*nats.Msg) {
		close(began)
		<-free
	}); err != nil {
		t.Fatal(err)
	}
	if err := b.static.Publish(busy, nil); err != nil {
		t.Fatal(err)
	}
	<-began
	found := make(chan error, 1)
	go func() {
		_, err := b.FindAsset(t.Context(), "vod/film.mp4")
		found <- err
	}()
	eventually.True(t, "asked", func() bool { return len(b.responder.requests) == 1 })
	o.Close()
	asked := time.Now()
	close(free)
	if err := <-found; !errors.Is(err, ErrNoAsset) || time.Since(asked) > findTimeout/2 {
		t.Errorf("after %v: %v", time.Since(asked), err)
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	_, b := newShards(t)
	c := newContent(10)
	o, err := b.Offer(
		c.asset(),
		nil,
		func(int) (Segment, error) { return Segment{}, errors.New("the disk is on fire") },
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	_, err = b.ReadSegment(t.Context(), asset, 0)
	if !errors.Is(err, ErrSegment) || !bytes.Contains([]byte(err.Error()), []byte("on fire")) {
		t.Errorf("got %v", err)
	}
}

func TestJoinSegmentErrors(t *testing.T) {
	t.Parallel()
	part := func(part, headers string, size int) stored {
		m := nats.NewMsg("x")
		m.Header.Set(headerPart, part)
		m.Header.Set(headerHeaders, headers)
		m.Data = make([]byte, size)
		return stored{Msg: m}
	}
	for name, page := range map[string][]stored{
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

func BenchmarkReadSegment(b *testing.B) {
	_, origin := newShards(b)
	c := newContent(1 << 20)
	o, err := origin.Offer(c.asset(), nil, c.read)
	if err != nil {
		b.Fatal(err)
	}
	defer o.Close()
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := origin.ReadSegment(b.Context(), asset, 0); err != nil {
			b.Fatal(err)
		}
	}
}
