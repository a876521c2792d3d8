package edge

import (
	"slices"
	"strings"

	"natscast/edge/wire"
	"natscast/internal/amf"
	"natscast/internal/reason"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/message"
)

// command dispatches on a command's name. Commands with transaction id 0 want no
// answer, and some clients (GStreamer) end when they get one.
func (s *session) command(c message.Command) error {
	if s.app == "" && c.Name != "connect" {
		return errNotConnected
	}
	streamID := c.StreamID
	switch c.Name {
	case "connect":
		return s.connect(c)
	case "createStream":
		return s.createStream(c)
	case "releaseStream", "_checkbw":
		s.result(c, amf.Undefined{})
	case "getStreamLength":
		s.result(c, s.streamLength(c))
	case "FCPublish":
		s.result(c, amf.Undefined{})
		s.event("onFCPublish", "NetStream.Publish.Start", argString(c, 1))
	case "FCSubscribe":
		s.result(c, amf.Undefined{})
		s.event("onFCSubscribe", "NetStream.Play.Start", argString(c, 1))
	case "FCUnpublish":
		s.closeNamed(argString(c, 1))
		s.tell()
		s.result(c, amf.Undefined{})
		s.event("onFCUnpublish", "NetStream.Unpublish.Success", argString(c, 1))
	case "publish":
		return s.publish(c)
	case "play":
		return s.play(c)
	case "play2":
		s.refuse(c, "NetStream.Play.Failed", "play2 is not supported: use play")
	case "pause", "pauseRaw":
		s.pause(streamID, argBool(c, 1), argNumber(c, 2))
	case "seek":
		s.seek(streamID, argNumber(c, 1))
	case "receiveAudio":
		s.receiveAudio(streamID, argBool(c, 1))
	case "receiveVideo":
		s.receiveVideo(streamID, argBool(c, 1))
	case "closeStream":
		s.closeStream(streamID)
		s.tell()
	case "deleteStream":
		s.deleteStream(c)
		s.tell()
	case "close":
		return errBye
	case "_result", "_error", "onStatus":
		// Answers to calls that we do not make.
	default:
		s.debug("unknown command", "command", c.Name)
		s.refuse(c, "NetConnection.Call.Failed", "there is no "+c.Name+" here")
	}
	return nil
}

// result answers a command, unless it wants no answer.
func (s *session) result(c message.Command, value amf.Value) {
	if c.Transaction != 0 {
		s.send(encode(message.Result(c.Transaction, nil, value)))
	}
}

// refuse answers a command with an _error, unless it wants no answer.
func (s *session) refuse(c message.Command, code, description string) {
	if c.Transaction != 0 {
		s.send(
			encode(
				message.Error(
					c.Transaction,
					nil,
					message.Status(message.LevelError, code, description),
				),
			),
		)
	}
}

// event calls a function of the client that FMS-era clients wait for.
func (s *session) event(name, code, description string) {
	s.send(encode(message.Command{
		Name: name, Args: []amf.Value{nil, message.Status(message.LevelStatus, code, description)},
	}))
}

// onStatus tells the client what becomes of a message stream.
func onStatus(streamID uint32, level, code, description string) chunk.Message {
	return encode(message.OnStatus(streamID, message.Status(level, code, description)))
}

// encode makes a message of what this package says, which AMF can always say.
func encode(m interface{ Message() (chunk.Message, error) }) chunk.Message {
	encoded, err := m.Message()
	if err != nil {
		panic(err)
	}
	return encoded
}

// userControl makes a user control message about a message stream.
func userControl(event message.Event, streamID uint32) chunk.Message {
	return message.UserControl{Event: event, Value: streamID}.Message()
}

// connect (Adobe RTMP 1.0, 7.2.1.1). It answers with what a relay does with Enhanced RTMP,
// if the client speaks it: all codecs are forwarded as they are.
func (s *session) connect(c message.Command) error {
	object := amf.Fields(c.Arg(0))
	app, routed := splitApp(object.String("app"))
	// before anything that is longer than the size of the start
	s.send(message.SetChunkSize(wire.ChunkSize))
	if s.app != "" || app == "" {
		s.refuse(c, "NetConnection.Connect.Rejected", "connect once, with an app")
		return nil
	}
	s.app, s.routed = app, routed
	s.learnAbilities(c)
	s.client = clip(object.String("flashVer"))
	s.debug("connect")
	if s.edge.isDraining() {
		s.sendAway(c)
		return reason.Draining
	}
	s.tell()

	info := message.Status("status", "NetConnection.Connect.Success", "Connection succeeded.",
		amf.Member{Key: "objectEncoding", Value: object.Number("objectEncoding")})
	if speaksEnhanced(object) {
		info.Members = append(info.Members, enhanced()...)
	}
	s.send(
		message.WindowAckSize(window),
		message.SetPeerBandwidth(window, message.LimitDynamic),
		userControl(message.StreamBegin, 0),
	)
	s.send(encode(message.Result(c.Transaction,
		&amf.Object{Members: amf.Members{
			{
				Key:   "fmsVer",
				Value: "FMS/3,5,7,7009",
			}, // clients parse it to learn what a server can do
			{Key: "capabilities", Value: 31.0},
			{Key: "mode", Value: 1.0},
		}}, info)))
	return nil
}

// speaksEnhanced looks for the properties of Enhanced RTMP v1 and v2 in a connect object.
func speaksEnhanced(object amf.Members) bool {
	for _, key := range []string{"fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap", "capsEx"} {
		if _, ok := object.Get(key); ok {
			return true
		}
	}
	return false
}

// enhanced is what a relay announces (Enhanced RTMP v2, "Enhancing NetConnection connect
// Command"): it forwards every codec, and passes multitrack, ModEx and nanosecond offsets.
func enhanced() amf.Members {
	const canForward = 4.0
	const reconnect, multitrack, modEx, nanoOffset = 1, 2, 4, 8
	any := &amf.Object{Members: amf.Members{{Key: "*", Value: canForward}}}
	return amf.Members{
		{Key: "capsEx", Value: float64(reconnect | multitrack | modEx | nanoOffset)},
		{Key: "videoFourCcInfoMap", Value: any},
		{Key: "audioFourCcInfoMap", Value: any},
		{Key: "fourCcList", Value: amf.StrictArray{"*"}},
	}
}

func (s *session) createStream(c message.Command) error {
	if len(s.streams) == maxStreams {
		s.refuse(c, "NetConnection.Call.Failed", "too many streams on this connection")
		return nil
	}
	// 1 comes first: log entries are framed for it, and GStreamer ends only
	// on the StreamEOF of stream 1.
	id := uint32(wire.SharedStream)
	for s.find(id) != nil {
		id++
	}
	s.addStream(id)
	s.result(c, float64(id))
	return nil
}

// deleteStream takes a stream's id, or its name as GStreamer sends it.
func (s *session) deleteStream(c message.Command) {
	if name := argString(c, 1); name != "" {
		s.closeNamed(name)
		return
	}
	id, _ := amf.Number(c.Arg(1))
	if s.find(uint32(id)) != nil {
		s.closeStream(uint32(id))
		s.streams = slices.DeleteFunc(
			s.streams,
			func(st *stream) bool { return st.id == uint32(id) },
		)
	}
}

func argString(c message.Command, i int) string {
	v, _ := c.Arg(i).(string)
	return v
}

func argBool(c message.Command, i int) bool {
	v, _ := c.Arg(i).(bool)
	return v
}

func argNumber(c message.Command, i int) float64 {
	v, _ := amf.Number(c.Arg(i))
	return v
}

// clip bounds what a client can put into each log line and directory entry.
func clip(s string) string {
	const most = 128
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "?")
}
