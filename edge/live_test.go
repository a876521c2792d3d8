package edge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"natscast/internal/eventually"
	"natscast/internal/media"
	"natscast/internal/reason"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/client"
	"natscast/internal/rtmp/message"
)

func expect(t *testing.T, conn *client.Conn, want ...media.Frame) {
	t.Helper()
	for i, w := range want {
		f := read(t, conn)
		if f.Kind != w.Kind || f.DTS != w.DTS || !bytes.Equal(f.Payload, w.Payload) {
			t.Fatalf("frame %d is %v at %d, %.32q; want %v at %d, %.32q", i, f.Kind, f.DTS, f.Payload, w.Kind, w.DTS, w.Payload)
		}
	}
}

// A player gets exactly what was published, and one that joins in the middle begins with the
// codec headers and the newest keyframe, on a warm edge and on a cold one.
func TestPlayAcrossNodes(t *testing.T) {
	t.Parallel()
	home, away, cold := startNode(t, Config{}), startNode(t, Config{}), startNode(t, Config{})
	name := "live/across"

	early := play(t, away.url(name))
	pub := publish(t, home.url(name))
	write(t, pub, avcHeader(), aacHeader(), keyframe(0), audio(10), interframe(40), audio(31), interframe(80))
	expect(t, early, avcHeader(), aacHeader(), keyframe(0), audio(10), interframe(40), audio(31), interframe(80))

	for _, n := range []*node{away, home, cold} {
		late := play(t, n.url(name))
		expect(t, late, avcHeader(), aacHeader(), keyframe(0), audio(10), interframe(40), audio(31), interframe(80))
	}
	write(t, pub, keyframe(1000), interframe(1040))
	expect(t, early, keyframe(1000), interframe(1040))
	later := play(t, cold.url(name))
	expect(t, later, at(avcHeader(), 1000), at(aacHeader(), 1000), keyframe(1000), interframe(1040))
}

func TestPublishNameTaken(t *testing.T) {
	t.Parallel()
	a, b := startNode(t, Config{}), startNode(t, Config{})
	name := "live/taken"
	first := publish(t, a.url(name))
	for _, n := range []*node{a, b} {
		err := dial(t, n.url(name)).Publish(t.Context())
		var status *client.StatusError
		if !errors.As(err, &status) || status.Code != "NetStream.Publish.BadName" {
			t.Fatalf("second publisher: %v, want BadName", err)
		}
	}
	first.Close()
	eventually.True(t, "the name is free again", func() bool {
		conn := dial(t, b.url(name))
		return conn.Publish(t.Context()) == nil
	})
}

func TestEndOfStream(t *testing.T) {
	t.Parallel()
	home, away := startNode(t, Config{}), startNode(t, Config{})
	name := "live/ends"
	pub := publish(t, home.url(name))
	write(t, pub, avcHeader(), keyframe(0))
	player := play(t, away.url(name))
	expect(t, player, avcHeader(), keyframe(0))
	pub.Close()
	var end *client.EndError
	if f, err := player.Read(); !errors.As(err, &end) {
		t.Fatalf("read %v, %v; want the end of the stream", f, err)
	}
	// A stream that has ended is not played again.
	late := play(t, away.url(name))
	pub = publish(t, home.url(name))
	write(t, pub, avcHeader(), keyframe(500))
	expect(t, late, at(avcHeader(), 500), keyframe(500))
}

// A publisher that comes back within the grace time, on another node, finds its players still
// there; they see no end and a timeline that goes on. One that stays away is announced then.
func TestGrace(t *testing.T) {
	t.Parallel()
	config := Config{Grace: 3 * time.Second}
	home, second, away := startNode(t, config), startNode(t, config), startNode(t, config)
	name := "live/grace"
	pub := publish(t, home.url(name))
	write(t, pub, avcHeader(), keyframe(5000))
	player := play(t, away.url(name))
	expect(t, player, at(avcHeader(), 5000), keyframe(5000))
	pub.Close()

	eventually.True(t, "the end has come to the edge", func() bool { return !away.hub(t, media.Name(name)).Joinable() })
	late := play(t, away.url(name))
	pub = publish(t, second.url(name))
	write(t, pub, avcHeader(), keyframe(0), interframe(40))
	for _, p := range []*client.Conn{player, late} {
		header, key, inter := read(t, p), read(t, p), read(t, p)
		if !header.Header || header.DTS != key.DTS || key.DTS <= 5000 || key.DTS > 15000 || inter.DTS != key.DTS+40 {
			t.Errorf("frames at %d, %d and %d behind one at 5000", header.DTS, key.DTS, inter.DTS)
		}
	}
	left := time.Now()
	pub.Close()
	var end *client.EndError
	if f, err := player.Read(); !errors.As(err, &end) {
		t.Fatalf("read %v, %v; want the end of the stream", f, err)
	}
	if waited := time.Since(left); waited < config.Grace-time.Second {
		t.Errorf("the end was announced after %v, want %v", waited, config.Grace)
	}
}

// A publisher whose node dies sends no end; its lease runs out.
func TestPublisherNodeDies(t *testing.T) {
	t.Parallel()
	home, away := startNode(t, Config{}), startNode(t, Config{})
	name := "live/dies"
	pub := publish(t, home.url(name))
	write(t, pub, avcHeader(), keyframe(0))
	player := play(t, away.url(name))
	expect(t, player, avcHeader(), keyframe(0))
	home.bus.Close()
	var end *client.EndError
	if f, err := player.Read(); !errors.As(err, &end) {
		t.Fatalf("read %v, %v; want the end of the stream", f, err)
	}
}

// An encoder that sends a file as fast as it can, reads no answers and closes the connection at its
// end: all of the file is published.
func TestPublisherLeavesAtOnce(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	for i := range 20 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			name := fmt.Sprintf("upload-%d", i)
			player := play(t, n.url("live/"+name))
			r := connectRaw(t, n, "live")
			r.createStream(2, 1)
			r.send(message.WindowAckSize(1))
			r.command(1, "publish", 0, nil, name)
			r.status(1, "NetStream.Publish.Start")
			begin, rest := []media.Frame{avcHeader(), keyframe(0)}, []media.Frame{}
			for at := range uint32(99) {
				rest = append(rest, padded(interframe(40+at*40), 1000))
			}
			wire := func(frames []media.Frame) (b []byte) {
				for _, f := range frames {
					b = chunk.Append(b, chunk.Message{ChunkStreamID: 6, Type: uint8(f.Kind), Timestamp: f.DTS, StreamID: 1, Payload: f.Payload}, chunk.DefaultSize)
				}
				return b
			}
			r.write(wire(begin))
			expect(t, player, begin...)
			r.write(wire(rest))
			r.conn.Close()
			expect(t, player, rest...)
		})
	}
}

func TestNobodyPublishes(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{PlayWait: 50 * time.Millisecond})
	player := play(t, n.url("live/nothing"))
	for {
		_, err := player.Read()
		var status *client.StatusError
		if errors.As(err, &status) && status.Code == "NetStream.Play.StreamNotFound" {
			return
		}
		if err != nil {
			t.Fatalf("read: %v, want StreamNotFound", err)
		}
	}
}

func TestHubGoesWithItsPlayers(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	var players []*client.Conn
	for range 3 {
		players = append(players, play(t, n.url("live/shared")))
	}
	if s := n.Stats(); s.Streams != 1 || s.Players != 3 {
		t.Fatalf("%d streams for %d players, want 1 for 3", s.Streams, s.Players)
	}
	for _, p := range players {
		p.Close()
	}
	eventually.True(t, "the players have left", func() bool { return n.Stats().Players == 0 })
	if s := n.Stats(); s.Streams != 1 {
		t.Errorf("%d streams right after the last player, want 1", s.Streams)
	}
	eventually.True(t, "the stream is dropped", func() bool { return n.Stats().Streams == 0 })
}

// A player that reads nothing loses what it cannot take, and nobody else does. When it reads
// again, it goes on at a keyframe.
func TestSlowPlayer(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	name := "live/slow"
	slow := play(t, n.url(name))
	testSlowPlayer(t, n, name, func() media.Frame { return read(t, slow) })
}

// testSlowPlayer has readSlow called, which reads a frame of a player, only when media has been
// lost for it.
func testSlowPlayer(t *testing.T, n *node, name string, readSlow func() media.Frame) {
	pub := publish(t, n.url(name))
	quick := play(t, n.url(name))

	body := make([]byte, 128<<10)
	big := func(first string, dts uint32) media.Frame {
		return media.NewFrame(media.Video, dts, append([]byte(first), body...))
	}
	const gop, socketsHold = 4, 12 << 20
	h := n.hub(t, media.Name(name))
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	last := uint32(0)
	// Until the log has let go of more than the sockets hold.
	for i := uint32(0); h.Base() < socketsHold/uint64(len(body)); i++ {
		<-tick.C
		last = i*1000 + gop - 1
		write(t, pub, big("\x17\x01\x00\x00\x00", i*1000))
		for dts := i*1000 + 1; dts <= last; dts++ {
			write(t, pub, big("\x27\x01\x00\x00\x00", dts))
		}
		for dts := i * 1000; dts <= last; dts++ {
			if f := read(t, quick); f.DTS != dts {
				t.Fatalf("the quick player got the frame at %d, want %d", f.DTS, dts)
			}
		}
	}
	previous, jumped := -1, false
	for {
		f := readSlow()
		if int(f.DTS) != previous+1 && f.DTS%1000 != 0 {
			t.Fatalf("the slow player went from %d to %d, which is no keyframe", previous, f.DTS)
		}
		jumped = jumped || f.DTS/1000 > uint32(max(previous, 0)/1000)+1
		previous = int(f.DTS)
		if f.DTS == last {
			break
		}
	}
	if s := n.Stats(); !jumped || s.Skipped[reason.Lag] == 0 || s.Skipped[reason.Gap] != 0 {
		t.Errorf("jumped: %v; skipped for lag %d, for gaps %d", jumped, s.Skipped[reason.Lag], s.Skipped[reason.Gap])
	}
}

func TestCoalesce(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{Coalesce: 20 * time.Millisecond})
	name := "live/coalesced"
	pub := publish(t, n.url(name))
	player := play(t, n.url(name))
	frames := []media.Frame{keyframe(0)}
	for i := uint32(1); i < 50; i++ {
		frames = append(frames, interframe(i*2))
	}
	write(t, pub, frames...)
	expect(t, player, frames...)
}

func TestManyStreamsOnOneNode(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	const streams = 20
	for i := range streams {
		name := fmt.Sprintf("live/many-%d", i)
		pub := publish(t, n.url(name))
		write(t, pub, avcHeader(), keyframe(uint32(i)))
		expect(t, play(t, n.url(name)), at(avcHeader(), uint32(i)), keyframe(uint32(i)))
	}
	if s := n.Stats(); s.Streams != streams || s.Publishers != streams {
		t.Errorf("%d streams, %d publishers, want %d", s.Streams, s.Publishers, streams)
	}
}

// Stopping a node ends its sessions, and waits for them.
func TestStop(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	pub, player := publish(t, n.url("live/stop")), play(t, n.url("live/stop"))
	write(t, pub, avcHeader(), keyframe(0))
	expect(t, player, avcHeader(), keyframe(0))
	n.stop()
	if s := n.Stats(); s.Connections != 0 || s.Players != 0 || s.Publishers != 0 {
		t.Errorf("after the stop: %+v", s)
	}
	if _, err := client.Dial(context.Background(), n.url("live/stop")); err == nil {
		t.Error("a stopped node takes connections")
	}
}
