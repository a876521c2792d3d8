package edge

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"natscast/edge/live"
	"natscast/internal/amf"
	"natscast/internal/eventually"
	"natscast/internal/media"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/handshake"
	"natscast/internal/rtmp/message"
)

// raw is a connection that says what a test tells it to.
type raw struct {
	t    testing.TB
	conn net.Conn
	in   *chunk.Reader
}

func dialRaw(t testing.TB, n *node) *raw {
	t.Helper()
	conn, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return &raw{t: t, conn: conn, in: chunk.NewReader(conn, chunk.DefaultLimits())}
}

// shakeRaw goes as far as the handshake.
func shakeRaw(t testing.TB, n *node) *raw {
	t.Helper()
	r := dialRaw(t, n)
	if err := handshake.Client(r.conn); err != nil {
		t.Fatal(err)
	}
	return r
}

// connectRaw goes as far as the answer to connect.
func connectRaw(t testing.TB, n *node, app string) *raw {
	t.Helper()
	r := shakeRaw(t, n)
	r.command(0, "connect", 1, &amf.Object{Members: amf.Members{{Key: "app", Value: app}}})
	r.answer("_result", 1)
	return r
}

func (r *raw) send(m chunk.Message) {
	r.t.Helper()
	if _, err := r.conn.Write(chunk.Append(nil, m, chunk.DefaultSize)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *raw) command(streamID uint32, name string, transaction float64, args ...amf.Value) {
	r.t.Helper()
	r.send(encode(message.Command{Name: name, Transaction: transaction, Args: args, StreamID: streamID}))
}

func (r *raw) read() chunk.Message {
	r.t.Helper()
	m, err := r.in.Read()
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// next returns the next command; other messages are passed over.
func (r *raw) next() message.Command {
	r.t.Helper()
	for {
		m := r.read()
		if m.Type != message.TypeCommand {
			continue
		}
		c, err := message.DecodeCommand(m)
		if err != nil {
			r.t.Fatal(err)
		}
		return c
	}
}

// answer expects a command by name and transaction id.
func (r *raw) answer(name string, transaction float64) message.Command {
	r.t.Helper()
	c := r.next()
	if c.Name != name || c.Transaction != transaction {
		r.t.Fatalf("answer %s %v %v, want %s %v", c.Name, c.Transaction, c.Args, name, transaction)
	}
	return c
}

// status expects an onStatus with a code on a message stream.
func (r *raw) status(streamID uint32, code string) {
	r.t.Helper()
	c := r.answer("onStatus", 0)
	if got := amf.Fields(c.Arg(1)).String("code"); got != code || c.StreamID != streamID {
		r.t.Fatalf("%s on stream %d, want %s on %d", got, c.StreamID, code, streamID)
	}
}

// event expects a user control message; other messages are passed over.
func (r *raw) event(event message.Event, streamID uint32) {
	r.t.Helper()
	for {
		m := r.read()
		if m.Type != message.TypeUserControl {
			continue
		}
		if u, err := message.DecodeUserControl(m); err != nil || u.Event != event || u.Value != streamID {
			r.t.Fatalf("event %d on %d, %v; want %d on %d", u.Event, u.Value, err, event, streamID)
		}
		return
	}
}

// media expects a frame on a message stream; messages that are not media are passed over.
func (r *raw) media(streamID uint32, want media.Frame) {
	r.t.Helper()
	for {
		m := r.read()
		if m.Type != message.TypeAudio && m.Type != message.TypeVideo {
			continue
		}
		if m.StreamID != streamID || media.Kind(m.Type) != want.Kind || m.Timestamp != want.DTS || !bytes.Equal(m.Payload, want.Payload) {
			r.t.Fatalf("stream %d: type %d at %d, %.32q; want stream %d: %v at %d, %.32q",
				m.StreamID, m.Type, m.Timestamp, m.Payload, streamID, want.Kind, want.DTS, want.Payload)
		}
		return
	}
}

func (r *raw) createStream(transaction float64, want float64) {
	r.t.Helper()
	r.command(0, "createStream", transaction, nil)
	if c := r.answer("_result", transaction); c.Arg(1) != want {
		r.t.Fatalf("stream %v, want %v", c.Arg(1), want)
	}
}

func TestConnectAnswer(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	cases := []struct {
		name     string
		extra    amf.Members
		enhanced bool
	}{
		{"legacy", nil, false},
		{"Enhanced RTMP v1", amf.Members{{Key: "fourCcList", Value: amf.StrictArray{"hvc1"}}}, true},
		{"Enhanced RTMP v2", amf.Members{{Key: "capsEx", Value: 15.0}}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := shakeRaw(t, n)
			object := &amf.Object{Members: append(amf.Members{{Key: "app", Value: "live"}, {Key: "objectEncoding", Value: 3.0}}, c.extra...)}
			r.command(0, "connect", 1, object)
			var types []uint8
			var result message.Command
			for result.Name == "" {
				m := r.read()
				types = append(types, m.Type)
				if m.Type == message.TypeCommand {
					result, _ = message.DecodeCommand(m)
				}
			}
			// The chunk size is acted on by the reader, which does not return it.
			want := []uint8{message.TypeWindowAckSize, message.TypeSetPeerBandwidth, message.TypeUserControl, message.TypeCommand}
			if !slices.Equal(types, want) {
				t.Errorf("messages of types %v, want %v", types, want)
			}
			info := amf.Fields(result.Arg(1))
			if info.String("code") != "NetConnection.Connect.Success" || info.Number("objectEncoding") != 3 {
				t.Errorf("answer %+v", info)
			}
			codecs, enhanced := info.Get("videoFourCcInfoMap")
			if enhanced != c.enhanced || enhanced && amf.Fields(codecs).Number("*") != 4 {
				t.Errorf("video codecs %v", codecs)
			}
		})
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	r := connectRaw(t, n, "live")

	r.command(0, "connect", 2, &amf.Object{Members: amf.Members{{Key: "app", Value: "again"}}})
	r.answer("_error", 2)
	r.command(0, "releaseStream", 3, nil, "cam")
	r.answer("_result", 3)
	r.command(0, "FCPublish", 4, nil, "cam")
	r.answer("_result", 4)
	r.answer("onFCPublish", 0)
	r.command(0, "FCSubscribe", 5, nil, "cam")
	r.answer("_result", 5)
	r.answer("onFCSubscribe", 0)
	r.command(0, "_checkbw", 6, nil)
	r.answer("_result", 6)
	r.command(0, "getStreamLength", 7, nil, "cam")
	if c := r.answer("_result", 7); c.Arg(1) != 0.0 {
		t.Errorf("stream length %v", c.Arg(1))
	}
	r.command(0, "play2", 8, nil, &amf.Object{})
	r.answer("_error", 8)
	r.command(0, "noSuchThing", 9, nil)
	r.answer("_error", 9)
	// Commands with transaction id 0 get no answer.
	for _, name := range []string{"releaseStream", "FCUnpublish", "noSuchThing", "_result", "onStatus"} {
		r.command(0, name, 0, nil, "cam")
	}
	if c := r.next(); c.Name != "onFCUnpublish" {
		t.Errorf("%s %v, want onFCUnpublish", c.Name, c.Args)
	}
	r.send(message.UserControl{Event: message.PingRequest, Value: 4711}.Message())
	r.event(message.PingResponse, 4711)
	// AMF3 commands are AMF0 behind a format byte.
	r.send(encode(message.Command{Name: "createStream", Transaction: 10, Args: []amf.Value{nil}, AMF3: true}))
	r.answer("_result", 10)
}

func TestStreamsOfOneConnection(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	r := connectRaw(t, n, "multi")
	for id := 1.0; id <= maxStreams; id++ {
		r.createStream(id, id)
	}
	r.command(0, "createStream", 99, nil)
	r.answer("_error", 99)
	r.command(0, "deleteStream", 0, nil, 3.0)
	r.createStream(100, 3)

	// Publish one stream and play it and another one, all on this connection.
	r.command(1, "publish", 0, nil, "one", "live")
	r.status(1, "NetStream.Publish.Start")
	r.command(2, "publish", 0, nil, "two", "live")
	r.status(2, "NetStream.Publish.Start")
	for id, name := range map[uint32]string{3: "one", 4: "two"} {
		r.command(id, "play", 0, nil, name, -2.0)
		r.status(id, "NetStream.Play.Reset")
		r.status(id, "NetStream.Play.Start")
	}
	r.send(message.Media(keyframe(1), 1))
	r.media(3, keyframe(1))
	r.send(message.Media(keyframe(2), 2))
	r.media(4, keyframe(2))
	r.send(message.Media(keyframe(3), 9)) // publishes nothing
	r.send(message.Media(audio(4), 1))
	r.send(message.Media(interframe(5), 1))
	r.media(3, audio(4))
	r.media(3, interframe(5))

	r.command(2, "closeStream", 0, nil)
	r.statuses("2 NetStream.Unpublish.Success", "4 NetStream.Play.UnpublishNotify")
	r.command(0, "deleteStream", 0, nil, 1.0)
	r.statuses("1 NetStream.Unpublish.Success", "3 NetStream.Play.UnpublishNotify")
	// A name instead of an id, as GStreamer sends it.
	r.command(5, "publish", 0, nil, "three")
	r.status(5, "NetStream.Publish.Start")
	r.command(0, "deleteStream", 0, nil, "three")
	r.status(5, "NetStream.Unpublish.Success")
}

// statuses expects an onStatus for each "stream code", in any order.
func (r *raw) statuses(want ...string) {
	r.t.Helper()
	var got []string
	for range want {
		c := r.answer("onStatus", 0)
		got = append(got, fmt.Sprint(c.StreamID, " ", amf.Fields(c.Arg(1)).String("code")))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		r.t.Fatalf("statuses %q, want %q", got, want)
	}
}

func TestPlayerControls(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	name := "live/controls"
	pub := publish(t, n.url(name))
	write(t, pub, avcHeader(), aacHeader(), keyframe(0))
	r := connectRaw(t, n, "live")
	r.createStream(2, 1)
	r.command(1, "play", 0, nil, "controls")
	r.status(1, "NetStream.Play.Reset")
	r.status(1, "NetStream.Play.Start")
	r.media(1, avcHeader())
	r.media(1, aacHeader())
	r.media(1, keyframe(0))

	// sync waits until the session has done what it was told.
	sync := func() {
		t.Helper()
		r.send(message.UserControl{Event: message.PingRequest, Value: 1}.Message())
		r.event(message.PingResponse, 1)
	}
	r.command(1, "receiveVideo", 0, nil, false)
	sync()
	write(t, pub, audio(10), interframe(40))
	r.media(1, audio(10))
	r.command(1, "receiveVideo", 0, nil, true)
	sync()
	write(t, pub, audio(50), interframe(80), keyframe(1000), audio(1010), interframe(1040))
	r.media(1, audio(50))
	r.media(1, at(avcHeader(), 1000))
	r.media(1, at(aacHeader(), 1000))
	r.media(1, keyframe(1000))
	r.media(1, audio(1010))
	r.media(1, interframe(1040))

	r.command(1, "receiveAudio", 0, nil, false)
	sync()
	write(t, pub, audio(1060), interframe(1080))
	r.media(1, interframe(1080))
	r.command(1, "receiveAudio", 0, nil, true)
	sync()

	r.command(1, "pause", 0, nil, true, 0.0)
	r.status(1, "NetStream.Pause.Notify")
	r.event(message.StreamEOF, 1)
	write(t, pub, interframe(1120), keyframe(2000), interframe(2040))
	eventually.True(t, "the log has it all", func() bool {
		return n.hub(t, "live/controls").Newest().DTS == 2040
	})
	r.command(1, "pause", 0, nil, false, 0.0)
	r.status(1, "NetStream.Unpause.Notify")
	r.media(1, at(avcHeader(), 2000))
	r.media(1, at(aacHeader(), 2000))
	r.media(1, keyframe(2000))
	r.media(1, interframe(2040))

	r.command(1, "seek", 0, nil, 0.0)
	r.status(1, "NetStream.Seek.Notify")
	r.status(1, "NetStream.Play.Start")
	r.media(1, at(avcHeader(), 2000))

	// A publisher that comes back is announced to a player that has stayed.
	pub.Close()
	r.status(1, "NetStream.Play.UnpublishNotify")
	r.event(message.StreamEOF, 1)
	pub = publish(t, n.url(name))
	write(t, pub, avcHeader(), keyframe(7000))
	r.event(message.StreamBegin, 1)
	r.status(1, "NetStream.Play.PublishNotify")
	r.media(1, at(avcHeader(), 7000))
	r.media(1, keyframe(7000))
}

// hub returns the hub of a stream that is being played.
func (n *node) hub(t testing.TB, name media.Name) *live.Hub {
	t.Helper()
	h := n.live.Hub(name)
	if h == nil {
		t.Fatalf("nobody plays %s", name)
	}
	return h
}

func TestDataFrames(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	r := connectRaw(t, n, "live")
	r.createStream(2, 1)
	r.command(1, "publish", 0, nil, "data")
	r.status(1, "NetStream.Publish.Start")
	player := play(t, n.url("live/data"))
	r.send(encode(message.Data{StreamID: 1, Name: message.SetDataFrame, Args: []amf.Value{"onMetaData", &amf.ECMAArray{}}}))
	r.send(encode(message.Data{StreamID: 1, Name: message.ClearDataFrame, Args: []amf.Value{"onMetaData"}}))
	r.send(message.Media(keyframe(0), 1))
	metadata, err := amf.Append0(nil, "onMetaData", &amf.ECMAArray{})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, player, media.NewFrame(media.Data, 0, metadata), keyframe(0))
	r.send(encode(message.Data{StreamID: 1, Timestamp: 20, Name: "onCuePoint", Args: []amf.Value{1.0}}))
	r.send(message.Media(interframe(40), 1))
	if f, err := player.Read(); err != nil || f.Kind != media.Data || f.DTS != 20 {
		t.Fatalf("%v at %d, %v; want data at 20", f.Kind, f.DTS, err)
	}
	expect(t, player, interframe(40))
}

func TestBadNames(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	r := connectRaw(t, n, "live")
	r.createStream(2, 1)
	for _, name := range []string{"", "..", "a/../b", "a\x00b", string(make([]byte, 300)), "?x"} {
		r.command(1, "publish", 0, nil, name)
		r.status(1, "NetStream.Publish.BadName")
		r.command(1, "play", 0, nil, name)
		r.status(1, "NetStream.Play.Failed")
	}
	for _, name := range []string{"%zz", "*", ">", "a.b", "a b", "ü"} {
		r.command(1, "publish", 0, nil, name)
		r.status(1, "NetStream.Publish.Start")
		player := play(t, n.url("live/"+name))
		r.send(message.Media(keyframe(1), 1))
		expect(t, player, keyframe(1))
		r.command(1, "closeStream", 0, nil)
		r.status(1, "NetStream.Unpublish.Success")
	}
}

// What a publisher wants to be kept is in the directory, for the origins that record.
func TestPublishType(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	for kind, want := range map[string]string{"live": "", "record": "record", "append": "append", "recorded": ""} {
		r := connectRaw(t, n, "live")
		r.createStream(2, 1)
		r.command(1, "publish", 0, nil, kind, kind)
		r.status(1, "NetStream.Publish.Start")
		if want != "" {
			r.status(1, "NetStream.Record.Start")
		}
		s, err := n.store.Streams.Get(t.Context(), media.Name("live/"+kind))
		if err != nil || s.Record != want {
			t.Errorf("%s: the directory says %q, %v", kind, s.Record, err)
		}
		r.command(1, "closeStream", 0, nil)
		if want != "" {
			r.status(1, "NetStream.Record.Stop")
		}
		r.status(1, "NetStream.Unpublish.Success")
	}
}

// A client may put all of the path into the app.
func TestStreamName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ app, asked, want string }{
		{"live", "cam", "live/cam"},
		{"live/room", "cam?x=y", "live/room/cam"},
		{"live/cam", "", "live/cam"},
		{"live/room/cam/", "?token=x", "live/room/cam"},
		{"live", "", ""},
		{"live/", "/", ""},
	} {
		got, err := streamName(c.app, c.asked)
		if string(got) != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q and %q: %q, %v; want %q", c.app, c.asked, got, err, c.want)
		}
	}
}
