package edge

import (
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"natscast/edge/objects"
	"natscast/internal/amf"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/handshake"
	"natscast/internal/rtmp/message"
	shared "natscast/kv/objects"
)

// objectClient is a client of shared objects, byte for byte.
type objectClient struct {
	t       *testing.T
	conn    net.Conn
	in      *chunk.Reader
	msgType uint8
}

func connectObjects(t *testing.T, n *node, app string) *objectClient {
	t.Helper()
	conn, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := handshake.Client(conn); err != nil {
		t.Fatal(err)
	}
	c := &objectClient{t: t, conn: conn, in: chunk.NewReader(conn, chunk.DefaultLimits()), msgType: message.TypeSharedObject}
	c.write(encode(message.Command{Name: "connect", Transaction: 1, Args: []amf.Value{
		&amf.Object{Members: amf.Members{{Key: "app", Value: app}}},
	}}))
	return c
}

func (c *objectClient) write(m chunk.Message) {
	c.t.Helper()
	if _, err := c.conn.Write(chunk.Append(nil, m, chunk.DefaultSize)); err != nil {
		c.t.Fatal(err)
	}
}

func fromHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "|", "", "\n", "", "\t", "").Replace(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// says sends the body of a message of a shared object.
func (c *objectClient) says(body string) {
	c.t.Helper()
	c.write(chunk.Message{ChunkStreamID: 3, Type: c.msgType, Payload: fromHex(c.t, body)})
}

// hears reads the next message of a shared object, which must be this one.
func (c *objectClient) hears(body string) {
	c.t.Helper()
	for {
		m, err := c.in.Read()
		if err != nil {
			c.t.Fatalf("%v; want %s", err, body)
		}
		if m.Type != message.TypeSharedObject && m.Type != message.TypeSharedObjectAMF3 {
			continue
		}
		got, want := fmt.Sprintf("%d %d %d %x", m.ChunkStreamID, m.Type, m.StreamID, m.Payload), fmt.Sprintf("3 %d 0 %x", c.msgType, fromHex(c.t, body))
		if got != want {
			c.t.Fatalf("got  %s\nwant %s", got, want)
		}
		return
	}
}

// Parts of bodies: the name "ball", a version with flags 0, and events.
const (
	ball    = "0004 62616c6c "
	v0      = "00000000 00000000 00000000 |"
	v1      = "00000001 00000000 00000000 |"
	v2      = "00000002 00000000 00000000 |"
	v3      = "00000003 00000000 00000000 |"
	v4      = "00000004 00000000 00000000 |"
	used    = "0b 00000000 | 08 00000000 |"
	x10     = "0000000c 0001 78 00 4024000000000000 |"
	y20     = "0000000c 0001 79 00 4034000000000000 |"
	keyX    = "00000003 0001 78 |"
	keyY    = "00000003 0001 79 |"
	msgHi   = "06 0000000b 02 0003 6d7367 02 0002 6869 |"
	release = "02 00000000"
)

// The conversation of two Flash clients on two nodes (Adobe RTMP 1.0, 7.1.3).
func TestSharedObject(t *testing.T) {
	t.Parallel()
	one, two := startNode(t, Config{}), startNode(t, Config{})
	a, b := connectObjects(t, one, "live"), connectObjects(t, two, "live")
	a.says(ball + v0 + "01 00000000")
	a.hears(ball + v1 + used)
	b.says(ball + v0 + "01 00000000")
	b.hears(ball + v1 + used)

	a.says(ball + v1 + "03" + x10 + "03" + y20)
	a.hears(ball + v2 + "05" + keyX + "05" + keyY)
	b.hears(ball + v2 + "04" + x10 + "04" + y20)

	a.says(ball + v2 + msgHi)
	a.hears(ball + v2 + msgHi)
	b.hears(ball + v2 + msgHi)

	b.says(ball + v2 + "0a" + keyX)
	a.hears(ball + v3 + "09" + keyX)
	b.hears(ball + v3 + "09" + keyX)

	a.says(ball + v3 + release)
	again := connectObjects(t, two, "live")
	again.says(ball + v0 + "01 00000000")
	again.hears(ball + v3 + used + "04" + y20)

	// Several pairs in one event, a value that is the same, and one by one to the others.
	b.says(ball + v3 + "03 00000018 0001 78 00 4024000000000000 0001 79 00 4034000000000000")
	b.hears(ball + v4 + "05" + keyX + "05" + keyY)
	again.hears(ball + v4 + "04" + x10)

	b.says(ball + v4 + "03" + x10)
	b.hears(ball + v4 + "05" + keyX)
	b.says(ball + v4 + "0e 00000000")
	b.hears(ball + "00000005 00000000 00000000 | 08 00000000")
	again.hears(ball + "00000005 00000000 00000000 | 08 00000000")
}

// Flags that a proxy sets are sent back, and the writer is told what it wrote.
func TestProxiedSharedObject(t *testing.T) {
	t.Parallel()
	a, b := connectObjects(t, startNode(t, Config{}), "live"), connectObjects(t, startNode(t, Config{}), "live")
	const v1, v2, v3 = "00000001 00000010 00000000 |", "00000002 00000010 00000000 |", "00000003 00000010 00000000 |"
	for _, c := range []*objectClient{a, b} {
		c.says(ball + "00000000 00000010 00000000 | 01 00000000")
		c.hears(ball + v1 + used)
	}
	a.says(ball + v1 + "03" + x10)
	a.hears(ball + v2 + "0d" + x10)
	b.hears(ball + v2 + "04" + x10)
	a.says(ball + v1 + "03" + y20)
	a.hears(ball + v3 + "0d" + y20)
	b.hears(ball + v3 + "04" + y20)
}

// One client speaks AMF3, the other one AMF0.
func TestSharedObjectInAMF3(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	a, b := connectObjects(t, n, "live"), connectObjects(t, n, "live")
	a.msgType = message.TypeSharedObjectAMF3
	a.says("00" + ball + v0 + "01 00000000")
	a.hears("00" + ball + v1 + used)
	b.says(ball + v0 + "01 00000000")
	b.hears(ball + v1 + used)

	b.says(ball + v1 + "03" + x10)
	a.hears("00" + ball + v2 + "04 00000006 0001 78 11 04 0a")
	a.says("00" + ball + v2 + "06 0000000b 02 0003 6d7367 11 06 05 6869")
	b.hears(ball + v2 + "05" + keyX)
	b.hears(ball + v2 + msgHi)
	a.hears("00" + ball + v2 + "06 0000000b 02 0003 6d7367 11 06 05 6869")
	a.says("00" + ball + v2 + "03 00000006 0001 79 11 04 14")
	b.hears(ball + v3 + "04" + y20)
}

// Objects belong to the scope that the client has connected to.
func TestScopesOfSharedObjects(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	app, room := connectObjects(t, n, "live"), connectObjects(t, n, "live/room1")
	for _, c := range []*objectClient{app, room} {
		c.says(ball + v0 + "01 00000000")
		c.hears(ball + v1 + used)
	}
	const roomBall = "000a 726f6f6d312f62616c6c "
	app.says(roomBall + v0 + "01 00000000")
	app.hears(roomBall + v1 + used)
	room.says(ball + v1 + "03" + x10)
	room.hears(ball + v2 + "05" + keyX)
	app.hears(roomBall + v2 + "04" + x10)
	app.says(ball + v1 + "03" + y20)
	app.hears(ball + v2 + "05" + keyY)
}

func statusEvent(code string) string {
	return fmt.Sprintf("07 %08x %04x %x 0005 %x |", 4+len(code)+5, len(code), code, "error")
}

// What a client may not do is told, and what it has shown already is taken back.
func TestSharedObjectErrors(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{AllowObject: func(q objects.Request) bool {
		switch q.Action {
		case objects.Create:
			return q.Object != "live/uncreated" || q.Persistent
		case objects.Read:
			return q.Object != "live/unread"
		case objects.Write:
			return q.Object != "live/unwritten" && (len(q.Edits) == 0 || q.Edits[0].Key != "y")
		default:
			return q.Call.Method != "msg"
		}
	}})
	c := connectObjects(t, n, "live")
	named := func(name string) string { return fmt.Sprintf("%04x %x ", len(name), name) }
	c.says(named("unread") + v0 + "01 00000000")
	c.hears(named("unread") + v0 + statusEvent("SharedObject.NoReadAccess"))
	c.says(named("uncreated") + v0 + "01 00000000")
	c.hears(named("uncreated") + v0 + statusEvent("SharedObject.ObjectCreationFailed"))
	c.says(named("unused") + v0 + "03" + x10)
	c.hears(named("unused") + v0 + statusEvent("SharedObject.NoWriteAccess"))

	c.says(ball + v0 + "01 00000000")
	c.hears(ball + v1 + used)
	c.says(ball + v1 + "03" + x10)
	c.hears(ball + v2 + "05" + keyX)
	c.says(ball + v2 + "03" + y20)
	c.hears(ball + v2 + statusEvent("SharedObject.NoWriteAccess") + "09" + keyY)
	c.says(ball + v2 + msgHi) // dropped
	c.says(ball + v2 + "03 " + fmt.Sprintf("%08x 0001 78 0c %08x %s", 3+5+shared.MaxValue-1000, shared.MaxValue-1000, strings.Repeat("0a", shared.MaxValue-1000)))
	c.hears(ball + v2 + statusEvent("SharedObject.NoWriteAccess") + "04" + x10)

	other := connectObjects(t, n, "live")
	const persistent = "00000002 00000000 |"
	other.says(ball + "00000000" + persistent + "01 00000000")
	other.hears(ball + "00000000" + persistent + statusEvent("SharedObject.BadPersistence"))
	other.says(ball + "00000000" + persistent + "03" + y20)
	other.hears(ball + "00000000" + persistent + statusEvent("SharedObject.NoWriteAccess"))
}

// A client that changes faster than it may is slowed down, and what it has written last counts. One
// that floods is closed.
func TestSharedObjectRate(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{ObjectRate: 20})
	c, other := connectObjects(t, n, "live"), connectObjects(t, n, "live")
	for _, c := range []*objectClient{c, other} {
		c.says(ball + v0 + "01 00000000")
		c.hears(ball + v1 + used)
	}
	number := func(i int) string { return fmt.Sprintf("03 0000000c 0001 78 00 %016x", 0x4024000000000000+i) }
	for i := range 100 {
		c.says(ball + v1 + number(i))
	}
	messages := 0
	for last := fmt.Sprintf("%016x", 0x4024000000000000+99); ; messages++ {
		m, err := other.in.Read()
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(fmt.Sprintf("%x", m.Payload), last) {
			break
		}
	}
	if messages > 50 {
		t.Errorf("%d changes of 100 were told at 20 a second", messages)
	}
	for i := range 400 {
		if _, err := c.conn.Write(chunk.Append(nil, chunk.Message{ChunkStreamID: 3, Type: c.msgType, Payload: fromHex(t, ball+v1+number(i))}, chunk.DefaultSize)); err != nil {
			break
		}
	}
	flooded := false
	for {
		m, err := c.in.Read()
		if err != nil {
			break
		}
		flooded = flooded || strings.Contains(string(m.Payload), "SharedObject.NoWriteAccess")
	}
	if !flooded {
		t.Error("closed without a status")
	}
}
