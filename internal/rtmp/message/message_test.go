package message

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"natscast/internal/amf"
	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/rtmp/chunk"
)

// wireCases is what the reader tests, the writer tests and the fuzz target share.
var wireCases = []struct {
	name    string
	msgType uint8
	body    string // hexadecimal, blanks ignored
	want    any    // a Control, a UserControl, a Command, a Data; nil if err
	err     error
	lenient bool // the writer writes something else
}{
	{name: "set chunk size", msgType: 1, body: "00001000", want: Control{Type: 1, Value: 4096}},
	{name: "abort", msgType: 2, body: "00000006", want: Control{Type: 2, Value: 6}},
	{name: "acknowledgement", msgType: 3, body: "ffffffff", want: Control{Type: 3, Value: 1<<32 - 1}},
	{name: "window", msgType: 5, body: "002625a0", want: Control{Type: 5, Value: 2500000}},
	{name: "bandwidth", msgType: 6, body: "002625a0 02", want: Control{Type: 6, Value: 2500000, Limit: LimitDynamic}},
	{name: "window and more", msgType: 5, body: "002625a0 02", want: Control{Type: 5, Value: 2500000}, lenient: true},
	{name: "bandwidth cut off", msgType: 6, body: "002625a0", err: ErrMalformed},
	{name: "acknowledgement cut off", msgType: 3, body: "000000", err: ErrMalformed},
	{name: "empty control", msgType: 5, err: ErrMalformed},

	{name: "stream begin", msgType: 4, body: "0000 00000001", want: UserControl{Event: StreamBegin, Value: 1}},
	{name: "stream eof", msgType: 4, body: "0001 00000001", want: UserControl{Event: StreamEOF, Value: 1}},
	{name: "stream dry", msgType: 4, body: "0002 00000001", want: UserControl{Event: StreamDry, Value: 1}},
	{name: "set buffer length", msgType: 4, body: "0003 00000001 00000bb8", want: UserControl{Event: SetBufferLength, Value: 1, Buffer: 3000}},
	{name: "stream is recorded", msgType: 4, body: "0004 00000001", want: UserControl{Event: StreamIsRecorded, Value: 1}},
	{name: "ping", msgType: 4, body: "0006 0000002a", want: UserControl{Event: PingRequest, Value: 42}},
	{name: "pong", msgType: 4, body: "0007 0000002a", want: UserControl{Event: PingResponse, Value: 42}},
	{name: "buffer empty", msgType: 4, body: "001f 00000001", want: UserControl{Event: 31, Raw: []byte{0, 0, 0, 1}}},
	{name: "unknown event without data", msgType: 4, body: "ffff", want: UserControl{Event: 0xffff, Raw: []byte{}}},
	{name: "ping and more", msgType: 4, body: "0006 0000002a ff", want: UserControl{Event: PingRequest, Value: 42}, lenient: true},
	{name: "event cut off", msgType: 4, body: "00", err: ErrMalformed},
	{name: "ping cut off", msgType: 4, body: "0006 000000", err: ErrMalformed},
	{name: "set buffer length cut off", msgType: 4, body: "0003 00000001", err: ErrMalformed},

	{
		name: "createStream", msgType: 20,
		body: "02 000c 63726561746553747265616d 00 4000000000000000 05",
		want: Command{Name: "createStream", Transaction: 2, Args: []amf.Value{nil}, StreamID: 1},
	},
	{
		name: "onStatus", msgType: 20,
		body: "02 0008 6f6e537461747573 00 0000000000000000 05 03 0005 6c6576656c 02 0006 737461747573" +
			"0004 636f6465 02 0014 4e657453747265616d2e506c61792e5374617274 000b 6465736372697074696f6e 02 0000 000009",
		want: OnStatus(1, Status(LevelStatus, "NetStream.Play.Start", "")),
	},
	{
		name: "AMF3 command with AMF0 values", msgType: 17,
		body: "00 02 0004 706c6179 00 0000000000000000 05 02 0001 61",
		want: Command{Name: "play", Args: []amf.Value{nil, "a"}, StreamID: 1, AMF3: true},
	},
	{
		name: "AMF3 transaction id", msgType: 17,
		body: "00 02 0004 706c6179 11 04 03",
		want: Command{Name: "play", Transaction: 3, Args: []amf.Value{}, StreamID: 1, AMF3: true}, lenient: true,
	},
	{
		name: "command without transaction id", msgType: 20, body: "02 0005 636c6f7365",
		want: Command{Name: "close", StreamID: 1}, lenient: true,
	},
	{name: "empty command", msgType: 20, err: ErrMalformed},
	{name: "AMF3 command without format", msgType: 17, err: ErrMalformed},
	{name: "AMF3 command of format 1", msgType: 17, body: "01 02 0001 61", err: ErrMalformed},
	{name: "command whose name is a number", msgType: 20, body: "00 0000000000000000", err: ErrMalformed},
	{name: "command whose transaction id is a string", msgType: 20, body: "02 0001 61 02 0001 61", err: ErrMalformed},
	{name: "command cut off", msgType: 20, body: "02 0001", err: amf.ErrMalformed},
	{name: "array of 2^32-1", msgType: 20, body: "02 0001 61 0a ffffffff", err: amf.ErrMalformed},

	{
		name: "onMetaData", msgType: 18, body: "02 000a 6f6e4d65746144617461 01 01",
		want: Data{Name: "onMetaData", Args: []amf.Value{true}, Timestamp: 7, StreamID: 1},
	},
	{
		name: "AMF3 data", msgType: 15, body: "00 02 0001 61 11 03",
		want: Data{Name: "a", Args: []amf.Value{true}, Timestamp: 7, StreamID: 1}, lenient: true,
	},
	{name: "empty data", msgType: 18, err: ErrMalformed},
	{name: "data cut off", msgType: 18, body: "02 ffff 61", err: amf.ErrMalformed},
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, c := range wireCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := decode(message(c.msgType, unhex(t, c.body)))
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if err == nil && !reflect.DeepEqual(got, c.want) {
				t.Errorf("got\n%#v, want\n%#v", got, c.want)
			}
		})
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	for _, c := range wireCases {
		if c.err != nil || c.lenient {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := encode(c.want)
			if err != nil {
				t.Fatal(err)
			}
			if want := unhex(t, c.body); got.Type != c.msgType || !bytes.Equal(got.Payload, want) {
				t.Errorf("type %d\n%x, want type %d\n%x", got.Type, got.Payload, c.msgType, want)
			}
			wantChunkStream := map[uint8]uint32{17: 3, 18: 5, 20: 3}[c.msgType]
			if wantChunkStream == 0 {
				wantChunkStream = 2
			}
			if got.ChunkStreamID != wantChunkStream {
				t.Errorf("on chunk stream %d, want %d", got.ChunkStreamID, wantChunkStream)
			}
		})
	}
}

func TestWrongType(t *testing.T) {
	t.Parallel()
	m := message(99, nil)
	_, control := DecodeControl(m)
	_, userControl := DecodeUserControl(m)
	_, command := DecodeCommand(m)
	_, data := DecodeData(m)
	_, frames := AppendFrames(nil, m)
	for _, err := range []error{control, userControl, command, data, frames} {
		if !errors.Is(err, ErrType) {
			t.Errorf("error %v, want %v", err, ErrType)
		}
	}
}

func TestEncodeRefusesWhatAMFCannotSay(t *testing.T) {
	t.Parallel()
	for _, v := range []any{Result(1, make(chan int)), Data{Name: "a", Args: []amf.Value{struct{}{}}}} {
		if _, err := encode(v); !errors.Is(err, amf.ErrUnsupported) {
			t.Errorf("%#v: error %v, want %v", v, err, amf.ErrUnsupported)
		}
	}
}

func TestArg(t *testing.T) {
	t.Parallel()
	c := Result(1, nil, 5.0)
	if c.Arg(0) != nil || c.Arg(1) != 5.0 || c.Arg(2) != nil {
		t.Errorf("got %v, %v, %v", c.Arg(0), c.Arg(1), c.Arg(2))
	}
}

// mediaCases: messages at time 1000 of message stream 1, and their frames.
var mediaCases = []struct {
	name    string
	msgType uint8
	body    []byte
	want    []media.Frame
	err     error
}{
	{name: "audio", msgType: 8, body: []byte{0xaf, 1, 2}, want: frames(media.Audio, 1000, "\xaf\x01\x02")},
	{name: "silence", msgType: 8, body: []byte{}, want: frames(media.Audio, 1000, "")},
	{name: "keyframe", msgType: 9, body: []byte{0x17, 1, 0}, want: frames(media.Video, 1000, "\x17\x01\x00")},
	{name: "data", msgType: 18, body: []byte("\x02\x00\x01a\x05"), want: frames(media.Data, 1000, "\x02\x00\x01a\x05")},
	{
		name: "metadata", msgType: 18, body: []byte("\x02\x00\x0d@setDataFrame\x02\x00\x0aonMetaData\x05"),
		want: frames(media.Data, 1000, "\x02\x00\x0aonMetaData\x05"),
	},
	{
		name: "AMF3 metadata", msgType: 15, body: []byte("\x00\x02\x00\x0d@setDataFrame\x02\x00\x0aonMetaData\x11\x01"),
		want: frames(media.Data, 1000, "\x02\x00\x0aonMetaData\x11\x01"),
	},
	{
		name: "aggregate: times count from the first", msgType: 22,
		body: tags(frames(media.Video, 40, "\x17\x01"), frames(media.Audio, 63, "\xaf\x01"), frames(media.Video, 30, "\x27\x01")),
		want: concat(frames(media.Video, 1000, "\x17\x01"), frames(media.Audio, 1023, "\xaf\x01"), frames(media.Video, 990, "\x27\x01")),
	},
	{
		name: "aggregate: times wrap", msgType: 22,
		body: tags(frames(media.Audio, 1<<32-1, "a"), frames(media.Audio, 22, "b")),
		want: concat(frames(media.Audio, 1000, "a"), frames(media.Audio, 1023, "b")),
	},
	{name: "empty aggregate", msgType: 22},
	{name: "aggregate cut off", msgType: 22, body: tags(frames(media.Audio, 0, "abc"))[:13], err: flv.ErrTag},
	{name: "aggregate within an aggregate", msgType: 22, body: tags(frames(22, 0, "")), err: ErrMalformed},
	{name: "aggregate of very many", msgType: 22, body: bytes.Repeat(tags(frames(media.Audio, 0, "")), maxAggregate+1), err: ErrMalformed},
	{name: "AMF3 data without format", msgType: 15, err: ErrMalformed},
}

func TestAppendFrames(t *testing.T) {
	t.Parallel()
	for _, c := range mediaCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := message(c.msgType, c.body)
			m.Timestamp = 1000
			got, err := AppendFrames(nil, m)
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if err == nil && !reflect.DeepEqual(got, c.want) {
				t.Errorf("got\n%+v, want\n%+v", got, c.want)
			}
		})
	}
}

func TestMedia(t *testing.T) {
	t.Parallel()
	for _, c := range mediaCases {
		for _, f := range c.want {
			m := Media(f, 5)
			want := chunk.Message{
				ChunkStreamID: map[media.Kind]uint32{media.Audio: 4, media.Data: 5, media.Video: 6}[f.Kind],
				Timestamp:     f.DTS, Type: uint8(f.Kind), StreamID: 5, Payload: f.Payload,
			}
			if !reflect.DeepEqual(m, want) {
				t.Errorf("%s: got\n%+v, want\n%+v", c.name, m, want)
			}
			if back, err := AppendFrames(nil, m); err != nil || !reflect.DeepEqual(back, []media.Frame{f}) {
				t.Errorf("%s: came back as %+v, %v", c.name, back, err)
			}
		}
	}
}

// FuzzDecode: what decodes is encoded, and that decodes and encodes to the same.
func FuzzDecode(f *testing.F) {
	for _, c := range wireCases {
		f.Add(c.msgType, unhex(f, c.body))
	}
	for _, c := range mediaCases {
		f.Add(c.msgType, c.body)
	}
	f.Fuzz(func(t *testing.T, msgType uint8, body []byte) {
		m := message(msgType, body)
		if all, err := AppendFrames(nil, m); err == nil && size(all) > len(body) {
			t.Fatalf("%d bytes became frames of %d", len(body), size(all))
		}
		v, err := decode(m)
		if err != nil {
			return
		}
		once, err := encode(v)
		if errors.Is(err, amf.ErrLimit) {
			return // written out in full it may exceed what was read
		}
		if err != nil {
			t.Fatal(err)
		}
		if v, err = decode(once); err != nil {
			t.Fatal(err)
		}
		if twice, err := encode(v); err != nil || !bytes.Equal(once.Payload, twice.Payload) {
			t.Fatalf("%x\nbecame %x, %v", once.Payload, twice.Payload, err)
		}
	})
}

func decode(m chunk.Message) (any, error) {
	switch m.Type {
	case TypeUserControl:
		return DecodeUserControl(m)
	case TypeCommand, TypeCommandAMF3:
		return DecodeCommand(m)
	case TypeData, TypeDataAMF3:
		return DecodeData(m)
	}
	return DecodeControl(m)
}

func encode(v any) (chunk.Message, error) {
	switch v := v.(type) {
	case Control:
		return v.Message(), nil
	case UserControl:
		return v.Message(), nil
	case Command:
		return v.Message()
	default:
		return v.(Data).Message()
	}
}

func message(msgType uint8, body []byte) chunk.Message {
	return chunk.Message{Timestamp: 7, Type: msgType, StreamID: 1, Payload: body}
}

func frames(kind media.Kind, dts uint32, body string) []media.Frame {
	return []media.Frame{media.NewFrame(kind, dts, []byte(body))}
}

func concat(lists ...[]media.Frame) (all []media.Frame) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func tags(lists ...[]media.Frame) (b []byte) {
	for _, f := range concat(lists...) {
		b = flv.AppendTag(b, f)
	}
	return b
}

func size(all []media.Frame) (n int) {
	for _, f := range all {
		n += len(f.Payload)
	}
	return n
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
