package edge

import (
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"natscast/bus/static"
	"natscast/internal/amf"
	"natscast/internal/eventually"
	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/rtmp/message"
)

// film is a static stream of some seconds: a segment for each, with ten pictures, the first of
// which is a keyframe, and ten of sound.
type film struct {
	seconds int
	frames  []media.Frame // without the codec headers
}

func newFilm(seconds int) *film {
	f := &film{seconds: seconds}
	for ms := uint32(0); ms < uint32(seconds)*1000; ms += 100 {
		picture := interframe(ms)
		if ms%1000 == 0 {
			picture = keyframe(ms)
		}
		f.frames = append(f.frames, picture, audio(ms+50))
	}
	return f
}

// offer has a node offer the film.
func (f *film) offer(t testing.TB, n *node, name media.Name) *static.Offer {
	t.Helper()
	a := static.Asset{Name: name, ID: fmt.Sprintf("%x", string(name)), Duration: uint32(f.seconds) * 1000}
	a.Video, a.Audio = "H.264", "AAC"
	for i := range f.seconds {
		a.Starts = append(a.Starts, uint32(i)*1000)
		a.Sizes = append(a.Sizes, 2000)
	}
	o, err := n.bus.Static.Offer(a, nil, func(i int) (static.Segment, error) {
		var s static.Segment
		for _, header := range []media.Frame{avcHeader(), aacHeader()} {
			s.Payload = flv.AppendTag(s.Payload, at(header, a.Starts[i]))
		}
		s.Headers = len(s.Payload)
		for _, frame := range f.frames[i*20 : (i+1)*20] {
			s.Payload = flv.AppendTag(s.Payload, frame)
		}
		return s, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	eventually.True(t, string(name)+" is found", func() bool {
		_, err := n.bus.Static.Find(t.Context(), name)
		return err == nil
	})
	return o
}

// from returns the frames from one time to before another.
func (f *film) from(from, to uint32) []media.Frame {
	return slices.DeleteFunc(slices.Clone(f.frames), func(f media.Frame) bool { return f.DTS < from || f.DTS >= to })
}

// expectFilm reads the codec headers, stamped with a time, and frames.
func (r *raw) expectFilm(dts uint32, frames []media.Frame) {
	r.t.Helper()
	r.media(1, at(avcHeader(), dts))
	r.media(1, at(aacHeader(), dts))
	r.expectFrames(frames)
}

func (r *raw) expectFrames(frames []media.Frame) {
	r.t.Helper()
	for _, f := range frames {
		r.media(1, f)
	}
}

// expectEnd reads the announcements of the end of a file.
func (r *raw) expectEnd() {
	r.t.Helper()
	for {
		m := r.read()
		if m.Type == message.TypeAudio || m.Type == message.TypeVideo {
			r.t.Fatalf("media at %d behind the end", m.Timestamp)
		}
		if m.Type != message.TypeData {
			continue
		}
		d, err := message.DecodeData(m)
		if err != nil || d.Name != "onPlayStatus" {
			continue
		}
		if code := amf.Fields(d.Args[0]).String("code"); code != "NetStream.Play.Complete" {
			r.t.Fatalf("onPlayStatus %s", code)
		}
		break
	}
	r.status(1, "NetStream.Play.Stop")
	r.event(message.StreamEOF, 1)
}

// setBuffer tells the node of the client's buffer.
func (r *raw) setBuffer(buffer time.Duration) {
	r.send(message.UserControl{Event: message.SetBufferLength, Value: 1, Buffer: uint32(buffer.Milliseconds())}.Message())
}

// playFilm plays with a buffer that is never full.
func playFilm(t *testing.T, n *node, name string, args ...amf.Value) *raw {
	t.Helper()
	return playBuffered(t, n, 10*time.Hour, name, args...)
}

func playBuffered(t *testing.T, n *node, buffer time.Duration, name string, args ...amf.Value) *raw {
	t.Helper()
	r := connectRaw(t, n, "vod")
	r.createStream(2, 1)
	r.setBuffer(buffer)
	r.command(1, "play", 0, append([]amf.Value{nil, name}, args...)...)
	r.event(message.StreamIsRecorded, 1)
	r.event(message.StreamBegin, 1)
	r.status(1, "NetStream.Play.Reset")
	r.status(1, "NetStream.Play.Start")
	return r
}

func TestPlayFile(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	f := newFilm(12)
	f.offer(t, n, "vod/film")
	for _, c := range []struct {
		what     string
		name     string
		args     []amf.Value
		from, to uint32
	}{
		{what: "all", name: "film", to: 12_000},
		{what: "of a kind", name: "mp4:film", to: 12_000},
		{what: "live or recorded", name: "film", args: []amf.Value{-2000.0}, to: 12_000},
		{what: "from the begin", name: "film", args: []amf.Value{0.0}, to: 12_000},
		{what: "from a keyframe", name: "film", args: []amf.Value{5000.0}, from: 5000, to: 12_000},
		{what: "from between keyframes", name: "film", args: []amf.Value{5999.0}, from: 5000, to: 12_000},
		{what: "a part", name: "film", args: []amf.Value{5000.0, 2500.0}, from: 5000, to: 7500},
		{what: "a part that is longer than the file", name: "film", args: []amf.Value{11_000.0, 9000.0, true}, from: 11_000, to: 12_000},
		{what: "from behind the end", name: "film", args: []amf.Value{99_000.0}, from: 11_000, to: 12_000},
		{what: "from a time in the URL", name: "film?start=7s", from: 7000, to: 12_000},
		{what: "from seconds in the URL", name: "film?start=7", from: 7000, to: 12_000},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			r := playFilm(t, n, c.name, c.args...)
			r.expectFilm(c.from, f.from(c.from, c.to))
			r.expectEnd()
		})
	}
}

func TestLengthOfFile(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	newFilm(3).offer(t, n, "vod/film")
	r := connectRaw(t, n, "vod")
	for i, c := range []struct {
		name string
		want float64
	}{{"film", 3}, {"other", 0}, {"..", 0}} {
		r.command(0, "getStreamLength", float64(i+2), nil, c.name)
		if a := r.answer("_result", float64(i+2)); a.Arg(1) != c.want {
			t.Errorf("%s is %v s long, want %v", c.name, a.Arg(1), c.want)
		}
	}
}

func TestSeekInFile(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	f := newFilm(6)
	f.offer(t, n, "vod/film")
	r := playFilm(t, n, "film")
	r.expectFilm(0, f.from(0, 6000))
	r.expectEnd()
	for _, c := range []struct {
		to   float64
		from uint32
	}{{3000, 3000}, {2999, 2000}, {0, 0}, {-5, 0}, {1e12, 0}, {5500, 5000}, {99_999, 5000}} {
		r.command(1, "seek", 0, nil, c.to)
		r.event(message.StreamEOF, 1)
		r.event(message.StreamIsRecorded, 1)
		r.event(message.StreamBegin, 1)
		r.status(1, "NetStream.Seek.Notify")
		r.status(1, "NetStream.Play.Start")
		r.expectFilm(c.from, f.from(c.from, 6000))
		r.expectEnd()
	}
}

// A client goes on with what comes after the time that it has reached, as it tells it.
func TestPauseFile(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	f := newFilm(20)
	f.offer(t, n, "vod/film")
	r := playBuffered(t, n, 5*time.Second, "film")
	r.expectFilm(0, f.from(0, 2500))
	r.command(1, "pause", 0, nil, true, 2450.0)
	r.status(1, "NetStream.Pause.Notify")
	r.event(message.StreamEOF, 1)
	r.setBuffer(10 * time.Hour)
	for _, ms := range []float64{2450, 3000, 19_000} {
		r.command(1, "pause", 0, nil, false, ms)
		r.event(message.StreamIsRecorded, 1)
		r.event(message.StreamBegin, 1)
		r.status(1, "NetStream.Unpause.Notify")
		r.expectFrames(f.from(uint32(ms)+1, 20_000))
		r.expectEnd()
	}
}

// A player gets as much as its buffer holds, and then what it has played.
func TestPace(t *testing.T) {
	t.Parallel()
	const buffer, watch = 2 * time.Second, 2 * time.Second
	n := startNode(t, Config{})
	newFilm(60).offer(t, n, "vod/film")
	begun := time.Now()
	r := playBuffered(t, n, buffer, "film")
	var last uint32
	for time.Since(begun) < watch {
		m := r.read()
		if m.Type != message.TypeVideo {
			continue
		}
		last = m.Timestamp
		if ahead := time.Duration(last)*time.Millisecond - time.Since(begun); ahead > buffer+100*time.Millisecond {
			t.Fatalf("%v ahead", ahead)
		}
	}
	if behind := time.Since(begun) - time.Duration(last)*time.Millisecond; behind > 0 {
		t.Errorf("%v behind", behind)
	}
}

func TestPlaylist(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	one, two := newFilm(2), newFilm(3)
	one.offer(t, n, "vod/one")
	two.offer(t, n, "vod/two")
	r := playFilm(t, n, "one")
	r.command(1, "play", 0, nil, "two", 0.0, -1.0, false)
	r.expectFilm(0, one.frames)
	for m := r.read(); ; m = r.read() {
		if m.Type != message.TypeData {
			continue
		}
		if d, err := message.DecodeData(m); err == nil && d.Name == "onPlayStatus" {
			if code := amf.Fields(d.Args[0]).String("code"); code == "NetStream.Play.Complete" {
				r.status(1, "NetStream.Play.Stop") // the first one had ended before the command came
				continue
			}
			break
		}
	}
	r.event(message.StreamIsRecorded, 1)
	r.event(message.StreamBegin, 1)
	r.status(1, "NetStream.Play.Start")
	r.expectFilm(0, two.frames)
	r.expectEnd()
	r.command(1, "play", 0, nil, "nothing", 0.0, -1.0, false)
	r.status(1, "NetStream.Play.StreamNotFound")
}

// What is live comes before a file of the same name, unless a time in it is asked for.
func TestLiveOrFile(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{PlayWait: 100 * time.Millisecond})
	f := newFilm(2)
	f.offer(t, n, "vod/film")
	live := publish(t, n.url("vod/film"))
	write(t, live, avcHeader(), aacHeader(), keyframe(70_000))
	expect(t, play(t, n.url("vod/film")), at(avcHeader(), 70_000), at(aacHeader(), 70_000), keyframe(70_000))
	r := playFilm(t, n, "film", 0.0)
	r.expectFilm(0, f.frames)

	r = connectRaw(t, n, "vod")
	r.createStream(2, 1)
	r.command(1, "play", 0, nil, "none", 5000.0)
	r.status(1, "NetStream.Play.Reset")
	r.status(1, "NetStream.Play.Start")
	r.status(1, "NetStream.Play.StreamNotFound")
	for _, bad := range []string{"film?start=soon", "film?at=noon"} {
		r.command(1, "play", 0, nil, bad)
		r.status(1, "NetStream.Play.Failed")
	}
	r.command(1, "play", 0, nil, "none?start=-5s")
	r.status(1, "NetStream.Play.StreamNotFound")
}

// The content is gone from the origins, and from the store.
func TestFileGoes(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	f := newFilm(30)
	o := f.offer(t, n, "vod/film")
	r := playBuffered(t, n, time.Second, "film", 0.0)
	r.expectFilm(0, f.from(0, 500))
	o.Close()
	r.command(1, "seek", 0, nil, 25_000.0)
	r.status(1, "NetStream.Seek.Notify")
	r.status(1, "NetStream.Play.Start")
	r.status(1, "NetStream.Play.StreamNotFound")
	r.status(1, "NetStream.Play.Stop")
	r.event(message.StreamEOF, 1)
}

// receiveVideo and receiveAudio leave out a kind; video comes back with a keyframe.
func TestFileKinds(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	f := newFilm(10)
	f.offer(t, n, "vod/film")
	r := playFilm(t, n, "film", 9000.0)
	r.expectFilm(9000, f.from(9000, 10_000))
	r.expectEnd()
	only := func(kind media.Kind, from uint32) []media.Frame {
		return slices.DeleteFunc(f.from(from, 10_000), func(f media.Frame) bool { return f.Kind != kind })
	}
	r.command(1, "receiveVideo", 0, nil, false)
	r.command(1, "seek", 0, nil, 7000.0)
	r.status(1, "NetStream.Seek.Notify")
	r.status(1, "NetStream.Play.Start")
	r.media(1, at(aacHeader(), 7000))
	r.expectFrames(only(media.Audio, 7000))
	r.expectEnd()
	r.command(1, "receiveVideo", 0, nil, true)
	r.command(1, "receiveAudio", 0, nil, false)
	r.command(1, "seek", 0, nil, 6000.0)
	r.status(1, "NetStream.Seek.Notify")
	r.status(1, "NetStream.Play.Start")
	r.media(1, at(avcHeader(), 6000))
	r.expectFrames(only(media.Video, 6000))
}

// Players at different places of different files hold no more in memory than the limit, and all get
// on.
func TestSegmentCache(t *testing.T) {
	t.Parallel()
	const limit = 20_000
	n := startNode(t, Config{SegmentCache: limit})
	f := newFilm(40)
	f.offer(t, n, "vod/film")
	var conns []*raw
	for i := range 20 {
		r := playBuffered(t, n, time.Second, "film", float64(i)*2000)
		conns = append(conns, r)
	}
	for i, r := range conns {
		r.expectFilm(uint32(i)*2000, f.from(uint32(i)*2000, uint32(i)*2000+1500))
		if s := n.cache.Stats(); s.Held > limit+4000 { // sizes are known when segments have come
			t.Errorf("too much is held: %+v", s)
		}
	}
	for _, r := range conns {
		r.conn.Close()
	}
	eventually.True(t, "nothing is in use", func() bool {
		return n.cache.Stats().Used == 0
	})
}

// Many players of one file cause one reading, and what is rendered for those over HTTP counts.
func TestSegmentsAreShared(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	f := newFilm(5)
	f.offer(t, n, "vod/film")
	for range 10 {
		r := playFilm(t, n, "film")
		r.expectFilm(0, f.frames)
		r.expectEnd()
	}
	before := n.cache.Held()
	for range 2 {
		b := playFLV(t, n.serveHTTP(t)+"vod/film?start=2s")
		b.expect(t, at(avcHeader(), 2000), at(aacHeader(), 2000))
		b.expect(t, f.from(2000, 5000)...)
	}
	rendered := int64(0)
	for _, frame := range f.from(2000, 5000) {
		rendered += int64(len(flv.AppendTag(nil, frame)))
	}
	for range 3 { // segments
		rendered += int64(len(flv.AppendTag(flv.AppendTag(nil, avcHeader()), aacHeader())))
	}
	if s := n.cache.Stats(); s.Loads != 5 || s.Held != before+rendered {
		t.Errorf("%d bytes were held before %d were rendered, and 5 segments; now %+v", before, rendered, s)
	}
}

// The project's own client plays a file to its end.
func TestClientPlaysFile(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	f := newFilm(3)
	f.offer(t, n, "vod/film")
	conn := dial(t, n.url("vod/film"))
	if err := conn.Play(t.Context(), startAny); err != nil {
		t.Fatal(err)
	}
	count := 0
	for {
		frame, err := conn.Read()
		if err == io.EOF || err != nil {
			break
		}
		if frame.Kind != media.Data && !frame.Header {
			count++
		}
	}
	if count != len(f.frames) {
		t.Errorf("%d frames of %d", count, len(f.frames))
	}
}

// HTTP plays files too, from a time that the URL tells, and then the answer ends.
func TestFileOverHTTP(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{PlayWait: 100 * time.Millisecond})
	url := n.serveHTTP(t)
	f := newFilm(3)
	f.offer(t, n, "vod/film")
	for query, from := range map[string]uint32{"": 0, "?start=1500ms": 1000, "?start=9": 2000} {
		b := playFLV(t, url+"vod/film"+query)
		b.expect(t, at(avcHeader(), from), at(aacHeader(), from))
		b.expect(t, f.from(from, 3000)...)
		if frame, err := b.read(); err != io.EOF {
			t.Errorf("%s: behind the end: %v, %v", query, frame.Kind, err)
		}
	}
	for path, status := range map[string]int{"vod/none": 404, "vod/none?start=5": 404, "vod/none?start=-5s": 404, "vod/film?at=noon": 503} {
		answer := readAnswer(t, request(t, url+path))
		answer.Body.Close()
		if answer.StatusCode != status {
			t.Errorf("%s: %s", path, answer.Status)
		}
	}
}

// A player that came before the file plays it from where it wanted, and seeks in it, like one that
// came after.
func TestFileComesLater(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	overHTTP := request(t, n.serveHTTP(t)+"vod/film")
	var players []*raw
	for _, name := range []string{"film", "film?start=4s", "film?dvr=1"} {
		r := connectRaw(t, n, "vod")
		r.createStream(2, 1)
		r.setBuffer(10 * time.Hour)
		r.command(1, "play", 0, nil, name)
		r.event(message.StreamBegin, 1)
		r.status(1, "NetStream.Play.Reset")
		r.status(1, "NetStream.Play.Start")
		players = append(players, r)
	}
	eventually.True(t, "all wait", func() bool { return n.Stats().Players == 4 })
	f := newFilm(6)
	f.offer(t, n, "vod/film")
	for i, from := range []uint32{0, 4000, 0} {
		r := players[i]
		r.event(message.StreamIsRecorded, 1)
		r.expectFilm(from, f.from(from, 6000))
		r.expectEnd()
		r.command(1, "seek", 0, nil, 2000.0)
		r.event(message.StreamEOF, 1)
		r.event(message.StreamIsRecorded, 1)
		r.event(message.StreamBegin, 1)
		r.status(1, "NetStream.Seek.Notify")
		r.status(1, "NetStream.Play.Start")
		r.expectFilm(2000, f.from(2000, 6000))
	}
	b := readFLV(t, overHTTP)
	b.expect(t, avcHeader(), aacHeader())
	b.expect(t, f.frames...)
}
