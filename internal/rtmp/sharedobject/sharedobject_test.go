package sharedobject

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"natscast/internal/amf"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/message"
)

const (
	ball = "0004 62616c6c "
	zero = "00000000 "
	none = "00000000 00000000 " // flags
)

// ballOf is a message of the shared object "ball" with no flags.
func ballOf(version uint32, events ...Event) Message {
	return Message{Name: "ball", Version: version, Events: events}
}

func asAMF3(m Message) Message {
	m.AMF3 = true
	return m
}

func withFlags(flags uint32, m Message) Message {
	m.Flags = flags
	return m
}

func change(t EventType, key string, v amf.Value) Event { return Event{Type: t, Key: key, Value: v} }

// wireCases is what the reader test, the writer test and the fuzz target share.
var wireCases = []struct {
	name    string
	amf3    bool
	body    string // hexadecimal, blanks ignored
	want    Message
	err     error
	lenient bool // the writer writes something else
}{
	// A conversation about the position of a ball, as Flash has it.
	{name: "use", body: ball + zero + none + "01 00000000", want: ballOf(0, Event{Type: Use})},
	{
		name: "subscribed", body: ball + "00000001" + none + "0b 00000000 08 00000000",
		want: ballOf(1, Event{Type: UseSuccess}, Event{Type: Clear}),
	},
	{
		name: "two changes wanted", body: ball + "00000001" + none +
			"03 0000000c 0001 78 00 4024000000000000" + "03 0000000c 0001 79 00 4034000000000000",
		want: ballOf(1, change(RequestChange, "x", 10.0), change(RequestChange, "y", 20.0)),
	},
	{
		name: "made, to the sender", body: ball + "00000002" + none + "05 00000003 0001 78 05 00000003 0001 79",
		want: ballOf(2, Event{Type: Success, Key: "x"}, Event{Type: Success, Key: "y"}),
	},
	{
		name: "made, to the others", body: ball + "00000002" + none +
			"04 0000000c 0001 78 00 4024000000000000" + "04 0000000c 0001 79 00 4034000000000000",
		want: ballOf(2, change(Change, "x", 10.0), change(Change, "y", 20.0)),
	},
	{
		name: "message", body: ball + "00000002" + none + "06 0000000b 02 0003 6d7367 02 0002 6869",
		want: ballOf(2, Event{Type: SendMessage, Key: "msg", Args: []amf.Value{"hi"}}),
	},
	{
		name: "removal wanted", body: ball + "00000002" + none + "0a 00000003 0001 78",
		want: ballOf(2, Event{Type: RequestRemove, Key: "x"}),
	},
	{
		name: "removed", body: ball + "00000003" + none + "09 00000003 0001 78",
		want: ballOf(3, Event{Type: Remove, Key: "x"}),
	},
	{name: "release", body: ball + "00000003" + none + "02 00000000", want: ballOf(3, Event{Type: Release})},
	{
		name: "subscribed again", body: ball + "00000003" + none +
			"0b 00000000 08 00000000 04 0000000c 0001 79 00 4034000000000000",
		want: ballOf(3, Event{Type: UseSuccess}, Event{Type: Clear}, change(Change, "y", 20.0)),
	},

	{
		name: "proxied", body: ball + "00000002" + "00000010 00000000" + "0d 0000000c 0001 78 00 4024000000000000",
		want: withFlags(Proxied, ballOf(2, change(ChangeEcho, "x", 10.0))),
	},
	{
		name: "flags beside each other", body: ball + "00000002" + "00000032 00000000" + "0e 00000000",
		want: withFlags(0x32, ballOf(2, Event{Type: RequestClear})),
	},
	{
		name: "refused", body: ball + zero + "00000002 00000000" +
			"07 00000024 001b" + hex.EncodeToString([]byte("SharedObject.BadPersistence")) + "0005 6572726f72",
		want: withFlags(Persistent, ballOf(0, Event{Type: Status, Key: "SharedObject.BadPersistence", Level: "error"})),
	},
	{name: "no events", body: ball + "00000007" + none, want: ballOf(7)},
	{name: "no name", body: "0000 00000007" + none, want: Message{Version: 7}},
	{
		name: "values", body: ball + zero + none +
			"04 00000004 0001 61 05" + "04 00000003 0000 06" + "04 00000005 0001 61 0101" +
			"04 00000007 0001 61 03 000009" + "04 00000006 0001 61 11 0c 01",
		want: ballOf(
			0, change(Change, "a", nil), change(Change, "", amf.Undefined{}), change(Change, "a", true),
			change(Change, "a", &amf.Object{}), change(Change, "a", amf.ByteArray{}),
		),
	},
	{
		name: "message without arguments", body: ball + zero + none + "06 00000004 02 0001 61",
		want: ballOf(0, Event{Type: SendMessage, Key: "a", Args: []amf.Value{}}),
	},

	{
		name: "AMF3", amf3: true, body: "00" + ball + "00000002" + none +
			"04 00000006 0001 78 11 04 0a" + "06 0000000b 02 0003 6d7367 11 06 05 6869",
		want: asAMF3(ballOf(2, change(Change, "x", 10.0), Event{Type: SendMessage, Key: "msg", Args: []amf.Value{"hi"}})),
	},
	{
		name: "AMF3 numbers", amf3: true, body: "00" + ball + zero + none +
			"04 00000009 0001 61 11 04 c0808000" + "04 00000009 0001 61 11 04 bfffffff" +
			"04 0000000d 0001 61 11 05 c1b0000001000000" + "04 0000000d 0001 61 11 05 41b0000000000000" +
			"04 0000000d 0001 61 11 05 3ff8000000000000" + "04 0000000d 0001 61 11 05 7ff0000000000000",
		want: asAMF3(ballOf(
			0, change(Change, "a", -268435456.0), change(Change, "a", 268435455.0),
			change(Change, "a", -268435457.0), change(Change, "a", 268435456.0),
			change(Change, "a", 1.5), change(Change, "a", math.Inf(1)),
		)),
	},
	{
		name: "AMF3, an array with an empty key", amf3: true,
		body: "00" + ball + zero + none + "04 0000000e 0001 61 08 00000001 0000 05 000009",
		want: asAMF3(ballOf(0, change(Change, "a", &amf.ECMAArray{Members: amf.Members{{Key: ""}}}))),
	},
	{
		name: "AMF3 with AMF0 values", amf3: true, lenient: true, body: "00" + ball + zero + none +
			"03 0000000c 0001 78 00 4024000000000000" + "06 00000007 11 06 03 61 02 0000",
		want: asAMF3(ballOf(0, change(RequestChange, "x", 10.0), Event{Type: SendMessage, Key: "a", Args: []amf.Value{""}})),
	},
	{
		name: "AMF0 with an AMF3 value", lenient: true, body: ball + zero + none + "03 00000006 0001 78 11 04 0a",
		want: ballOf(0, change(RequestChange, "x", 10.0)),
	},

	{
		name: "several pairs in an event", lenient: true,
		body: ball + zero + none + "03 00000010 0001 78 00 4024000000000000 0001 79 05 08 00000000",
		want: ballOf(0, change(RequestChange, "x", 10.0), change(RequestChange, "y", nil), Event{Type: Clear}),
	},
	{
		name: "unknown events", lenient: true,
		body: ball + zero + none + "0c 00000007 0001 78 00000001 ff 00000000 01 00000000 00 00000001 ff",
		want: ballOf(0, Event{Type: Use}),
	},
	{
		name: "more than the events need", lenient: true,
		body: ball + zero + "00000000 00000001" + "01 00000001 ff 09 00000004 0001 78 ff 07 00000007 0001 61 0001 62 ff",
		want: ballOf(0, Event{Type: Use}, Event{Type: Remove, Key: "x"}, Event{Type: Status, Key: "a", Level: "b"}),
	},
	{
		name: "long string as a method", lenient: true, body: ball + zero + none + "06 00000006 0c 00000001 61",
		want: ballOf(0, Event{Type: SendMessage, Key: "a", Args: []amf.Value{}}),
	},
	{
		name: "a reference to the argument before", lenient: true,
		body: ball + zero + none + "06 0000000b 02 0001 61 03 000009 07 0000",
		want: ballOf(0, Event{Type: SendMessage, Key: "a", Args: []amf.Value{&amf.Object{}, &amf.Object{}}}),
	},
	{
		name: "the most events", lenient: true, body: ball + zero + none + strings.Repeat("08 00000000", maxEvents) + "63 00000000",
		want: ballOf(0, slices.Repeat([]Event{{Type: Clear}}, maxEvents)...),
	},
	{
		name: "the longest key", body: ball + zero + none + "0a 00000102 0100" + strings.Repeat("61", maxKey),
		want: ballOf(0, Event{Type: RequestRemove, Key: strings.Repeat("a", maxKey)}),
	},

	{name: "empty", err: ErrMalformed},
	{name: "header cut off", body: ball + zero + "000000", err: ErrMalformed},
	{name: "name cut off", body: "0004 62616c", err: ErrMalformed},
	{name: "name is not UTF-8", body: "0001 ff" + zero + none, err: ErrMalformed},
	{name: "long name", body: "0101" + strings.Repeat("61", maxName+1) + zero + none, err: ErrLimit},
	{name: "AMF3, empty", amf3: true, err: ErrMalformed},
	{name: "AMF3, format", amf3: true, body: "01" + ball + zero + none, err: ErrMalformed},
	{name: "event cut off", body: ball + zero + none + "01 000000", err: ErrMalformed},
	{name: "length overruns", body: ball + zero + none + "01 00000001", err: ErrMalformed},
	{name: "length overruns by far", body: ball + zero + none + "63 ffffffff 00", err: ErrMalformed},
	{name: "key overruns its event", body: ball + zero + none + "09 00000003 0002 78 08 00000000", err: ErrMalformed},
	{name: "value overruns its event", body: ball + zero + none + "03 0000000b 0001 78 00 4024000000000000", err: ErrMalformed},
	{name: "key without a value", body: ball + zero + none + "03 00000003 0001 78", err: amf.ErrMalformed},
	{name: "no pair", body: ball + zero + none + "03 00000000", err: ErrMalformed},
	{name: "long key", body: ball + zero + none + "09 00000103 0101" + strings.Repeat("61", maxKey+1), err: ErrLimit},
	{name: "status without a level", body: ball + zero + none + "07 00000003 0001 61", err: ErrMalformed},
	{name: "no method", body: ball + zero + none + "06 00000000", err: ErrMalformed},
	{name: "a number as a method", body: ball + zero + none + "06 00000009 00 4024000000000000", err: ErrMalformed},
	{name: "long method", body: ball + zero + none + "06 00000104 02 0101" + strings.Repeat("61", maxKey+1), err: ErrLimit},
	{name: "a value that is reserved", body: ball + zero + none + "04 00000004 0001 61 0e", err: amf.ErrUnsupported},
	{name: "a value too deep", body: ball + zero + none + "04 0000014c 0001 61" + strings.Repeat("0a00000001", 65) + "0505050505", err: ErrLimit},
	{name: "too many events", body: ball + zero + none + strings.Repeat("08 00000000", maxEvents+1), err: ErrLimit},
	{name: "too many pairs", body: ball + zero + none + "03 00000404" + strings.Repeat("0001 61 05", maxEvents+1), err: ErrLimit},
	{name: "too large", body: strings.Repeat("00", maxBody+1), err: ErrLimit},
}

func wire(t testing.TB, amf3 bool, body string) chunk.Message {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(body, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return wireBytes(amf3, b)
}

func wireBytes(amf3 bool, body []byte) chunk.Message {
	m := chunk.Message{ChunkStreamID: 3, Type: message.TypeSharedObject, Payload: body}
	if amf3 {
		m.Type = message.TypeSharedObjectAMF3
	}
	return m
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, c := range wireCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := Decode(wire(t, c.amf3, c.body))
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got\n%+v, want\n%+v", got, c.want)
			}
			if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrLimit) {
				t.Errorf("error %v has no sentinel", err)
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
			got, err := c.want.Message()
			if err != nil {
				t.Fatal(err)
			}
			if want := wire(t, c.amf3, c.body); !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%+v\n%x, want\n%+v\n%x", got, got.Payload, want, want.Payload)
			}
		})
	}
}

func TestEncodeNumbers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value amf.Value
		amf3  bool
		want  string
	}{
		{10.0, true, "11 04 0a"},
		{int32(10), true, "11 04 0a"},
		{int32(10), false, "00 4024000000000000"},
		{math.Copysign(0, -1), true, "11 05 8000000000000000"},
		{math.Float64frombits(0x7ff8000000000001), true, "11 05 7ff8000000000001"},
		{amf.StrictArray{10.0}, true, "11 09 03 01 05 4024000000000000"},
	} {
		m := Message{AMF3: c.amf3, Events: []Event{change(Change, "", c.value)}}
		got, err := m.Message()
		if err != nil {
			t.Fatal(err)
		}
		want := wire(t, c.amf3, c.want).Payload
		if !bytes.HasSuffix(got.Payload, append([]byte{byte(len(want) + 2), 0, 0}, want...)) {
			t.Errorf("%v: got %x, want %x at its end", c.value, got.Payload, want)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("a", maxBody)
	for name, c := range map[string]struct {
		m    Message
		want error
	}{
		"long name":         {Message{Name: large[:maxName+1]}, ErrLimit},
		"name is not UTF-8": {Message{Name: "\xff"}, ErrMalformed},
		"many events":       {ballOf(1, make([]Event, maxEvents+1)...), ErrLimit},
		"long key":          {ballOf(1, change(Change, large[:maxKey+1], nil)), ErrLimit},
		"long method":       {ballOf(1, Event{Type: SendMessage, Key: large[:maxKey+1]}), ErrLimit},
		"long level":        {ballOf(1, Event{Type: Status, Level: large[:maxKey+1]}), ErrLimit},
		"large":             {ballOf(1, change(Change, "a", large)), ErrLimit},
		"very large":        {ballOf(1, change(Change, "a", make(amf.ByteArray, 9<<20))), ErrLimit},
		"no type":           {ballOf(1, Event{}), ErrMalformed},
		"unknown type":      {ballOf(1, Event{Type: 12}), ErrMalformed},
		"not AMF":           {ballOf(1, change(Change, "a", struct{}{})), amf.ErrUnsupported},
		"not AMF3":          {asAMF3(ballOf(1, change(Change, "a", struct{}{}))), amf.ErrUnsupported},
		"an argument":       {ballOf(1, Event{Type: SendMessage, Args: []amf.Value{struct{}{}}}), ErrMalformed},
	} {
		if got, err := c.m.Message(); !errors.Is(err, c.want) || got.Payload != nil {
			t.Errorf("%s: got %d bytes, error %v, want %v", name, len(got.Payload), err, c.want)
		}
	}
}

func TestWrongType(t *testing.T) {
	t.Parallel()
	if _, err := Decode(chunk.Message{Type: message.TypeCommand}); !errors.Is(err, message.ErrType) {
		t.Errorf("error %v, want %v", err, message.ErrType)
	}
}

// An error leads to the event and the byte.
func TestErrorText(t *testing.T) {
	t.Parallel()
	_, err := Decode(wire(t, false, ball+zero+none+"08 00000000 09 00000003 0002 78"))
	const want = "event 1: type 9: malformed shared object message: byte 30: 2 bytes expected, 1 left"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// FuzzDecode: what decodes is encoded, and decodes to the same and encodes to the
// same. NaN, which is not equal to itself, is left to the bytes, and so is what
// becomes AMF3, which has no empty ECMA arrays and no time zones.
func FuzzDecode(f *testing.F) {
	for _, c := range wireCases {
		f.Add(c.amf3, wire(f, c.amf3, c.body).Payload)
	}
	f.Fuzz(func(t *testing.T, amf3 bool, body []byte) {
		m, err := Decode(wireBytes(amf3, body))
		if err != nil {
			return
		}
		once, err := m.Message()
		if errors.Is(err, ErrLimit) {
			return // written out in full it may exceed what was read
		}
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode(once)
		if err != nil {
			t.Fatalf("%x\nbecame %x: %v", body, once.Payload, err)
		}
		twin, _ := Decode(wireBytes(amf3, body))
		if !amf3 && !reflect.DeepEqual(m, again) && reflect.DeepEqual(m, twin) {
			t.Fatalf("%+v\nbecame %+v", m, again)
		}
		if twice, err := again.Message(); err != nil || !reflect.DeepEqual(once, twice) {
			t.Fatalf("%x\nbecame %x, %v", once.Payload, twice.Payload, err)
		}
	})
}

func BenchmarkDecodeChange(b *testing.B) {
	m := wire(b, false, ball+"00000002"+none+"04 0000000c 0001 78 00 4024000000000000")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeChange(b *testing.B) {
	m := ballOf(2, change(Change, "x", 10.0))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Message(); err != nil {
			b.Fatal(err)
		}
	}
}
