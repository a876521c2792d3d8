package edge

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"natscast/internal/amf"
	"natscast/internal/eventually"
	"natscast/internal/media"
	"natscast/internal/reason"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/message"
)

// attacks are what a hostile client sends, at a stage of the connection. The node must close the
// connection within the time, unless it is zero: then it must answer a ping.
var attacks = []struct {
	name   string
	stage  stage
	bytes  []byte
	closed time.Duration
}{
	{"silence", opened, nil, handshakeTimeout},
	{"half a handshake", opened, append([]byte{3}, make([]byte, 700)...), handshakeTimeout},
	{"no C2", opened, append([]byte{3}, make([]byte, 1536)...), handshakeTimeout},
	{"RTMPE", opened, append([]byte{6}, make([]byte, 1536)...), time.Second},
	{"HTTP", opened, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), time.Second},
	{"TLS", opened, append([]byte{0x16, 3, 1, 2, 0, 1}, make([]byte, 512)...), time.Second},
	{"silence after the handshake", shaken, nil, commandTimeout},
	{"a command before connect", shaken, commandBytes("createStream", 1), time.Second},
	{"a type 3 chunk without a predecessor", shaken, []byte{0xc3, 1, 2, 3}, time.Second},
	{"chunk size 0", shaken, chunkBytes(1, []byte{0, 0, 0, 0}), time.Second},
	{"chunk size 2^31", shaken, chunkBytes(1, []byte{0x80, 0, 0, 0}), time.Second},
	{"a message of 16 MB", shaken, header(3, 20, 1<<24-1), time.Second},
	{"800 chunk streams promising 8 MB", shaken, promises(800), time.Second},
	{"an array of 2^32-1", shaken, chunkBytes(20, append(amfBytes("connect", 1.0), 0x0a, 0xff, 0xff, 0xff, 0xff)), time.Second},
	{"an array of 2^32-1 in 48 KB", shaken, chunkBytes(20, append(append(amfBytes("connect", 1.0), 0x0a, 0xff, 0xff, 0xff, 0xff), make([]byte, 48<<10)...)), time.Second},
	{"60 KB of nested objects", shaken, chunkBytes(20, append(amfBytes("connect", 1.0), bytes.Repeat([]byte{3, 0, 1, 'a'}, 15<<10)...)), time.Second},
	{"an AMF3 command without its format byte", shaken, chunkBytes(17, []byte{9, 9, 9}), time.Second},
	{"a command that is no AMF", connected, chunkBytes(20, []byte{0xff, 0xff}), time.Second},
	{"a command without a name", connected, chunkBytes(20, amfBytes(1.0)), time.Second},
	{"a user control message of one byte", connected, chunkBytes(4, []byte{0}), time.Second},
	{"an aggregate beyond its end", publishing, chunkBytes(22, []byte{9, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0}), time.Second},
	{"a shared object before connect", shaken, chunkBytes(19, objectBytes(1, 0)), time.Second},
	{"a shared object that is none", connected, chunkBytes(19, []byte("x")), time.Second},
	{"a shared object with an event beyond its end", connected, chunkBytes(19, objectBytes(3, 0xffffffff)), time.Second},
	{"a shared object in an unknown format", connected, chunkBytes(16, append([]byte{9}, objectBytes(1, 0)...)), time.Second},
	{"a change of a shared object that is not used", connected, chunkBytes(19, append(objectBytes(3, 4), 0, 1, 'x', 5)), 0},
	{"unknown message types", connected, slices.Concat(
		chunkBytes(0, []byte("x")), chunkBytes(255, []byte("x")),
		chunkBytes(8, nil), chunkBytes(9, nil), chunkBytes(18, nil)), 0},
	{"play and publish without arguments", connected, slices.Concat(commandBytes("play", 1), commandBytes("publish", 1), commandBytes("deleteStream", 1), commandBytes("pause", 1)), 0},
	{"empty media", publishing, slices.Concat(chunkBytes(8, nil), chunkBytes(9, nil), chunkBytes(18, nil), chunkBytes(22, nil)), 0},
	{"an AVC configuration of 0 to 5 bytes", publishing, slices.Concat(
		chunkBytes(9, []byte{0x17}), chunkBytes(9, []byte{0x17, 0}), chunkBytes(9, []byte{0x17, 0, 0, 0, 0}), chunkBytes(9, []byte{0x17, 0, 0, 0, 0, 1})), 0},
	{"reserved and explicit AAC rates", publishing, slices.Concat(
		chunkBytes(8, []byte{0xaf, 0, 0x17, 0x80}), chunkBytes(8, []byte{0xaf, 0, 0x16, 0x80})), 0},
	{"a NAL unit beyond its packet", publishing, chunkBytes(9, []byte{0x17, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1}), 0},
	{"cut off Enhanced RTMP", publishing, slices.Concat(
		chunkBytes(9, []byte{0x90}), chunkBytes(9, []byte{0x97, 0xff}), chunkBytes(9, []byte{0x96}), chunkBytes(8, []byte{0x95, 0x20, 'O'})), 0},
}

// objectBytes is a message about the shared object "o", up to the payload of its event.
func objectBytes(event byte, length uint32) []byte {
	b := append([]byte{0, 1, 'o'}, make([]byte, 12)...)
	return binary.BigEndian.AppendUint32(append(b, event), length)
}

type stage int

const (
	opened stage = iota
	shaken
	connected
	publishing
)

// header is a type 0 chunk header for message stream 1.
func header(csid byte, msgType uint8, length int) []byte {
	b := []byte{csid, 0, 0, 0, byte(length >> 16), byte(length >> 8), byte(length), msgType}
	return binary.LittleEndian.AppendUint32(b, 1)
}

func chunkBytes(msgType uint8, payload []byte) []byte {
	return chunk.Append(nil, chunk.Message{ChunkStreamID: 3, Type: msgType, StreamID: 1, Payload: payload}, chunk.DefaultSize)
}

func commandBytes(name string, transaction float64) []byte {
	return chunkBytes(20, amfBytes(name, transaction))
}

func amfBytes(values ...amf.Value) []byte {
	b, err := amf.Append0(nil, values...)
	if err != nil {
		panic(err)
	}
	return b
}

func promises(n int) []byte {
	var b []byte
	for i := range n {
		m := chunk.Message{ChunkStreamID: uint32(64 + i), Type: 9, StreamID: 1, Payload: make([]byte, chunk.DefaultSize)}
		c := chunk.Append(nil, m, chunk.DefaultSize)
		// Behind the 2 or 3 bytes of the basic header and the time comes the length.
		basic := len(c) - chunk.DefaultSize - 11
		copy(c[basic+3:], []byte{0x7f, 0xff, 0xff})
		b = append(b, c...)
	}
	return b
}

// reach takes a connection to a stage.
func reach(t *testing.T, n *node, s stage, name string) *raw {
	t.Helper()
	switch s {
	case opened:
		return dialRaw(t, n)
	case shaken:
		return shakeRaw(t, n)
	}
	r := connectRaw(t, n, "attack")
	if s == publishing {
		r.command(1, "publish", 0, nil, name)
		r.status(1, "NetStream.Publish.Start")
	}
	return r
}

func TestAttacks(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	pub := publish(t, n.url("live/healthy"))
	write(t, pub, avcHeader(), keyframe(0))
	player := play(t, n.url("live/healthy"))
	expect(t, player, avcHeader(), keyframe(0))

	attackers := make([]*raw, len(attacks))
	for i, a := range attacks {
		r := reach(t, n, a.stage, a.name)
		attackers[i] = r
		if a.closed > 0 {
			go r.conn.Write(a.bytes) // may be cut off
			continue
		}
		r.write(a.bytes)
		r.send(message.UserControl{Event: message.PingRequest, Value: 1}.Message())
		r.event(message.PingResponse, 1)
	}
	for i, a := range attacks {
		if a.closed > 0 && !attackers[i].isClosed(a.closed) {
			t.Errorf("%s: still open after %v", a.name, a.closed)
		}
	}
	for _, r := range attackers {
		r.conn.Close()
	}
	eventually.True(t, "only the honest are connected", func() bool { return n.Stats().Connections == 2 })
	write(t, pub, interframe(40))
	expect(t, player, interframe(40))
	if s := n.Stats(); s.Closed[reason.Panic] != 0 {
		t.Errorf("%d sessions ended in a panic", s.Closed[reason.Panic])
	}
}

// isClosed waits for the node to close the connection, some seconds longer than it should take.
func (r *raw) isClosed(within time.Duration) bool {
	r.conn.SetReadDeadline(time.Now().Add(within + 5*time.Second))
	_, err := io.Copy(io.Discard, r.conn)
	return !os.IsTimeout(err)
}

func (r *raw) write(b []byte) {
	r.t.Helper()
	if _, err := r.conn.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

// Timestamps may step back, leap and wrap: they are passed on as they are.
func TestTimestamps(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	pub := publish(t, n.url("live/timestamps"))
	player := play(t, n.url("live/timestamps"))
	// later the stream is subscribed to: before, it would be joined at its last keyframe
	write(t, pub, keyframe(0))
	expect(t, player, keyframe(0))
	frames := []media.Frame{
		keyframe(0xfffff0), interframe(0xfffffe), interframe(0xffffff), interframe(0x1000000), audio(0x1000001),
		interframe(0x80000000), interframe(0xfffffff0), keyframe(5), interframe(3), audio(2), interframe(1), interframe(0xffffffff),
	}
	write(t, pub, frames...)
	expect(t, player, frames...)
}

// A client that asks without reading the answers is cut off.
func TestFlood(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	r := connectRaw(t, n, "flood")
	flood := bytes.Repeat(commandBytes("getStreamLength", 1), 1000)
	for {
		if _, err := r.conn.Write(flood); os.IsTimeout(err) {
			t.Fatal("the node takes it all")
		} else if err != nil {
			return
		}
	}
}

// One byte at a time is slow, but no attack.
func TestOneByteAtATime(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	r := connectRaw(t, n, "live")
	for _, b := range slices.Concat(commandBytes("createStream", 2), commandBytes("createStream", 3)) {
		r.write([]byte{b})
	}
	r.answer("_result", 2)
	r.answer("_result", 3)
}

// Media as large as it may be passes; anything larger ends the connection.
func TestLargestMessage(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	pub := publish(t, n.url("live/large"))
	player := play(t, n.url("live/large"))
	body := make([]byte, chunk.DefaultLimits().Media)
	body[0], body[1] = 0x17, 1
	for i := range body[5:] {
		body[5+i] = byte(i * 7 >> 3)
	}
	large := media.NewFrame(media.Video, 40, body)
	write(t, pub, avcHeader(), keyframe(0), large, interframe(80))
	expect(t, player, avcHeader(), keyframe(0), large, interframe(80))
}

// Connections that promise much and send little cost little.
func TestUnfinishedMessagesCostLittle(t *testing.T) {
	n := startNode(t, Config{})
	const connections, ceiling = 200, 64 << 20
	begin := promises(60) // within the limit of chunk streams
	before := heap()
	for range connections {
		shakeRaw(t, n).write(begin)
	}
	eventually.True(t, "the node has taken them", func() bool { return n.Stats().Connections == connections })
	if used := int64(heap()) - int64(before); used > ceiling {
		t.Errorf("%d connections use %d MB, at most %d", connections, used>>20, ceiling>>20)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A client that neither reads nor leaves is closed, and the goroutine that waits for it ends.
func TestStuckPlayer(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	pub := publish(t, n.url("live/stuck"))
	r := connectRaw(t, n, "live")
	r.conn.(*net.TCPConn).SetReadBuffer(1 << 10)
	r.command(1, "play", 0, nil, "stuck")
	r.status(1, "NetStream.Play.Reset")
	write(t, pub, keyframe(0))
	big := make([]byte, 1<<20)
	big[0] = 0x27
	eventually.True(t, "the stuck player is closed", func() bool {
		write(t, pub, media.NewFrame(media.Video, 40, big))
		return n.Stats().Players == 0
	})
}
