package integration

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"natscast/internal/amf"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/handshake"
)

// stage is how far a client goes before it turns hostile.
type stage int

const (
	opened stage = iota
	shaken
	connected
	publishing
	playing
)

// attack is what a hostile client does.
type attack struct {
	name  string
	stage stage
	bytes []byte // what it sends, and then nothing more
	flood bool   // sends it over and over, and reads nothing
}

// attackPatience is how long a hostile client stays if the node lets it.
const attackPatience = 3 * time.Second

var attacks = []attack{
	{name: "silence", stage: opened},
	{name: "silence behind the handshake", stage: shaken},
	{name: "silence behind connect", stage: connected},
	{name: "silence behind publish", stage: publishing},
	{name: "a player that does not read", stage: playing, flood: true},
	{name: "garbage", stage: opened, bytes: garbage(4 << 10)},
	{name: "garbage behind the handshake", stage: shaken, bytes: garbage(4 << 10)},
	{name: "garbage behind connect", stage: connected, bytes: garbage(4 << 10)},
	{name: "garbage behind publish", stage: publishing, bytes: garbage(4 << 10)},
	{name: "half a handshake", stage: opened, bytes: append([]byte{3}, make([]byte, 700)...)},
	{name: "half a command", stage: shaken, bytes: commandBytes("connect", 1)[:9]},
	{name: "half a picture", stage: publishing, bytes: unfinished(1)},
	{name: "800 chunk streams", stage: publishing, bytes: unfinished(800)},
	{name: "50 unfinished pictures", stage: publishing, bytes: unfinished(50)},
	{name: "a message of 16 MB", stage: connected, bytes: []byte{3, 0, 0, 0, 0xff, 0xff, 0xff, 20, 1, 0, 0, 0}},
	{name: "a flood of handshakes", stage: opened, bytes: bytes.Repeat([]byte{3}, 64<<10), flood: true},
	{name: "a flood of commands", stage: connected, bytes: bytes.Repeat(commandBytes("getStreamLength", 9), 500), flood: true},
	{name: "a flood of streams", stage: connected, bytes: bytes.Repeat(commandBytes("createStream", 9), 500), flood: true},
	{name: "a flood of pings", stage: connected, bytes: bytes.Repeat(chunkBytes(4, []byte{0, 6, 0, 0, 0, 1}), 500), flood: true},
	{name: "a flood of empty pictures", stage: publishing, bytes: bytes.Repeat(chunkBytes(9, nil), 500), flood: true},
}

// besiege lets each attack begin again and again until ctx ends. It counts the attacks, and those
// that did not get through to a node any more, or were not served the handshake.
func besiege(ctx context.Context, address, stream string, number int, done, failed *atomic.Int64) {
	a := attacks[number%len(attacks)]
	for ctx.Err() == nil {
		if err := a.run(ctx, address, fmt.Sprintf("%s-%d", stream, number), stream); err != nil && ctx.Err() == nil {
			failed.Add(1)
		}
		done.Add(1)
		pause(ctx, 50*time.Millisecond)
	}
}

// run attacks once. own is a stream to publish, other one to play.
func (a attack) run(ctx context.Context, address, own, other string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	conn.SetDeadline(time.Now().Add(attackPatience))
	if a.flood {
		conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	}
	if a.stage >= shaken {
		if err := handshake.Client(conn); err != nil {
			return err
		}
	}
	// From here on the node may close the connection at any time.
	conn.Write(slices.Concat(a.approach(own, other), a.bytes))
	if !a.flood {
		io.Copy(io.Discard, conn)
		return nil
	}
	for len(a.bytes) > 0 {
		if _, err := conn.Write(a.bytes); err != nil {
			return nil
		}
	}
	pause(ctx, attackPatience)
	return nil
}

// approach is what takes the connection from the handshake to the stage. The answers are not
// waited for.
func (a attack) approach(own, other string) (b []byte) {
	if a.stage < connected {
		return nil
	}
	app := &amf.Object{Members: amf.Members{{Key: "app", Value: "live"}}}
	b = commandBytes("connect", 1, app)
	switch a.stage {
	case publishing:
		b = slices.Concat(b, commandBytes("createStream", 2, nil), commandBytes("publish", 3, nil, own, "live"))
	case playing:
		b = slices.Concat(b, commandBytes("createStream", 2, nil), commandBytes("play", 3, nil, other))
	}
	return b
}

func garbage(size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(b)
	return b
}

// chunkBytes is a message of message stream 1 in chunks of 128 bytes.
func chunkBytes(kind uint8, payload []byte) []byte {
	return chunk.Append(nil, chunk.Message{ChunkStreamID: 3, Type: kind, StreamID: 1, Payload: payload}, chunk.DefaultSize)
}

func commandBytes(name string, transaction float64, args ...amf.Value) []byte {
	b, err := amf.Append0(nil, append([]amf.Value{name, transaction}, args...)...)
	if err != nil {
		panic(err)
	}
	return chunkBytes(20, b)
}

// unfinished is the first chunk of a picture of 8 MB on each of a number of chunk streams.
func unfinished(streams int) (b []byte) {
	for i := range streams {
		id := 64 + i
		b = append(b, 1, byte(id-64), byte((id-64)>>8)) // the form of 3 bytes (5.3.1.1)
		b = append(b, 0, 0, 0, 0x7f, 0xff, 0xff, 9, 1, 0, 0, 0)
		b = append(b, make([]byte, chunk.DefaultSize)...)
	}
	return b
}
