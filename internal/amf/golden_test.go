package amf

import (
	"encoding/hex"
	"strings"
	"testing"
)

// golden is one value and its bytes, in hexadecimal.
type golden struct {
	name  string
	read  string
	value Value
	write string // if the writer's bytes are others
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (g golden) written() string {
	if g.write != "" {
		return g.write
	}
	return g.read
}

var (
	long     = strings.Repeat("a", 65536)
	longHex  = strings.Repeat("61", 65536)
	anObject = &Object{Members: Members{{"b", 1.0}, {"a", "x"}}}
	shared   = &Object{Members: Members{{"a", nil}}}
)

// golden0 has every marker of AMF0.
var golden0 = []golden{
	{name: "number", read: "00 3ff0000000000000", value: 1.0},
	{name: "negative number", read: "00 c08f400000000000", value: -1000.0},
	{name: "false", read: "01 00", value: false},
	{name: "true", read: "01 01", value: true},
	{name: "true of another value", read: "01 7f", value: true, write: "01 01"},
	{name: "empty string", read: "02 0000", value: ""},
	{name: "string", read: "02 0004 c3a96869", value: "éhi"},
	{name: "longest short string", read: "02 ffff" + longHex[2:], value: long[1:]},
	{name: "long string", read: "0c 00010000" + longHex, value: long},
	{name: "long string that is short", read: "0c 00000002 6869", value: "hi", write: "02 0002 6869"},
	{name: "null", read: "05", value: nil},
	{name: "undefined", read: "06", value: Undefined{}},
	{name: "unsupported", read: "0d", value: Undefined{}, write: "06"},
	{name: "empty object", read: "03 000009", value: &Object{}},
	{name: "object", read: "03 0001 62 00 3ff0000000000000 0001 61 02 0001 78 000009", value: anObject},
	{
		name:  "object with an empty and a repeated key",
		read:  "03 0000 05 0001 61 0101 0001 61 0100 000009",
		value: &Object{Members: Members{{"", nil}, {"a", true}, {"a", false}}},
	},
	{
		name:  "typed object",
		read:  "10 0003 462e47 0001 61 05 000009",
		value: &Object{Class: "F.G", Members: Members{{"a", nil}}},
	},
	{
		name:  "ECMA array",
		read:  "08 00000002 0001 62 0101 0001 30 06 000009",
		value: &ECMAArray{Members{{"b", true}, {"0", Undefined{}}}},
	},
	{
		name:  "ECMA array with a wrong count",
		read:  "08 ffffffff 0001 62 0101 000009",
		value: &ECMAArray{Members{{"b", true}}},
		write: "08 00000001 0001 62 0101 000009",
	},
	{name: "empty strict array", read: "0a 00000000", value: StrictArray{}},
	{
		name:  "strict array",
		read:  "0a 00000003 05 0a 00000001 0101 02 0001 61",
		value: StrictArray{nil, StrictArray{true}, "a"},
	},
	{name: "date", read: "0b 4270000000000000 ffc4", value: Date{Millis: 1 << 40, Zone: -60}},
	{name: "XML", read: "0f 00000004 3c612f3e", value: XMLDocument("<a/>")},
	{
		name:  "reference to a sibling",
		read:  "0a 00000002 03 0001 61 05 000009 07 0001",
		value: StrictArray{shared, shared},
		write: "0a 00000002 03 0001 61 05 000009 03 0001 61 05 000009",
	},
	{
		name:  "references count every kind of container",
		read:  "0a 00000006 08 00000000 000009 10 0001 43 000009 0a 00000000 07 0001 07 0002 07 0003",
		value: StrictArray{&ECMAArray{}, &Object{Class: "C"}, StrictArray{}, &ECMAArray{}, &Object{Class: "C"}, StrictArray{}},
		write: "0a 00000006 08 00000000 000009 10 0001 43 000009 0a 00000000 08 00000000 000009 10 0001 43 000009 0a 00000000",
	},
	{name: "AMF3 integer", read: "11 04 0a", value: int32(10)},
	{name: "AMF3 string", read: "11 06 05 6869", value: "hi", write: "02 0002 6869"},
	{name: "AMF3 byte array", read: "11 0c 05 0102", value: ByteArray{1, 2}},
	{
		name:  "AMF3 strings are shared within a message",
		read:  "0a 00000002 11 06 05 6869 11 06 00",
		value: StrictArray{"hi", "hi"},
		write: "0a 00000002 02 0002 6869 02 0002 6869",
	},
	{
		name:  "AMF3 object in an AMF0 object",
		read:  "03 0001 61 11 0a 0b 01 03 62 04 01 01 000009",
		value: &Object{Members: Members{{"a", &Object{Members: Members{{"b", int32(1)}}}}}},
		write: "03 0001 61 03 0001 62 11 04 01 000009 000009",
	},
}

// golden3 has every marker of AMF3.
var golden3 = []golden{
	{name: "undefined", read: "00", value: Undefined{}},
	{name: "null", read: "01", value: nil},
	{name: "false", read: "02", value: false},
	{name: "true", read: "03", value: true},
	{name: "integer 0", read: "04 00", value: int32(0)},
	{name: "largest of one byte", read: "04 7f", value: int32(0x7f)},
	{name: "smallest of two bytes", read: "04 8100", value: int32(0x80)},
	{name: "largest of two bytes", read: "04 ff7f", value: int32(0x3fff)},
	{name: "smallest of three bytes", read: "04 818000", value: int32(0x4000)},
	{name: "largest of three bytes", read: "04 ffff7f", value: int32(0x1fffff)},
	{name: "smallest of four bytes", read: "04 80c08000", value: int32(0x200000)},
	{name: "largest integer", read: "04 bfffffff", value: int32(1<<28 - 1)},
	{name: "smallest integer", read: "04 c0808000", value: int32(-1 << 28)},
	{name: "integer -1", read: "04 ffffffff", value: int32(-1)},
	{name: "double", read: "05 3ff8000000000000", value: 1.5},
	{name: "empty string", read: "06 01", value: ""},
	{name: "string", read: "06 05 6869", value: "hi"},
	{name: "long string", read: "06 888001" + longHex, value: long},
	{name: "XML document", read: "07 09 3c612f3e", value: XMLDocument("<a/>")},
	{name: "date", read: "08 01 4270000000000000", value: Date{Millis: 1 << 40}},
	{name: "empty array", read: "09 01 01", value: StrictArray{}},
	{name: "dense array", read: "09 05 01 03 06 03 61", value: StrictArray{true, "a"}},
	{
		name:  "associative array",
		read:  "09 01 03 62 03 03 61 01 01",
		value: &ECMAArray{Members{{"b", true}, {"a", nil}}},
	},
	{
		name:  "mixed array",
		read:  "09 05 03 62 03 01 01 02",
		value: &ECMAArray{Members{{"b", true}, {"0", nil}, {"1", false}}},
		write: "09 01 03 62 03 03 30 01 03 31 02 01",
	},
	{name: "empty object", read: "0a 0b 01 01", value: &Object{}},
	{
		name:  "dynamic object",
		read:  "0a 0b 01 03 62 05 3ff0000000000000 03 61 06 03 78 01",
		value: anObject,
	},
	{
		name:  "sealed typed object",
		read:  "0a 23 07 462e47 03 62 03 61 03 01",
		value: &Object{Class: "F.G", Members: Members{{"b", true}, {"a", nil}}},
	},
	{
		name:  "sealed and dynamic members",
		read:  "0a 1b 03 43 03 62 03 03 61 01 01",
		value: &Object{Class: "C", Members: Members{{"b", true}, {"a", nil}}},
		write: "0a 23 03 43 03 62 03 61 03 01",
	},
	{
		name:  "sealed anonymous object",
		read:  "0a 13 01 03 62 03",
		value: &Object{Members: Members{{"b", true}}},
		write: "0a 0b 01 03 62 03 01",
	},
	{name: "empty sealed key", read: "0a 13 01 01 03", value: &Object{Members: Members{{"", true}}}},
	{name: "XML", read: "0b 09 3c612f3e", value: XML("<a/>")},
	{name: "empty byte array", read: "0c 01", value: ByteArray{}},
	{name: "byte array", read: "0c 05 00ff", value: ByteArray{0, 255}},
	{name: "vector of int", read: "0d 05 01 00000001 ffffffff", value: Vector[int32]{Fixed: true, Items: []int32{1, -1}}},
	{name: "vector of uint", read: "0e 03 00 ffffffff", value: Vector[uint32]{Items: []uint32{1<<32 - 1}}},
	{name: "vector of double", read: "0f 03 00 3ff8000000000000", value: Vector[float64]{Items: []float64{1.5}}},
	{
		name:  "vector of objects",
		read:  "10 05 01 03 43 0a 03 03 43 01",
		value: Vector[Value]{Fixed: true, Class: "C", Items: []Value{&Object{Class: "C"}, nil}},
		write: "10 05 01 03 43 0a 03 03 43 01",
	},
	{
		name:  "dictionary",
		read:  "11 05 01 0a 0b 01 01 03 04 01 02",
		value: Dictionary{WeakKeys: true, Entries: []Entry{{&Object{}, true}, {int32(1), false}}},
	},
	{
		name:  "string references skip the empty string and take keys in",
		read:  "09 09 01 06 01 06 03 61 0a 0b 01 03 62 06 00 01 06 02",
		value: StrictArray{"", "a", &Object{Members: Members{{"b", "a"}}}, "b"},
		write: "09 09 01 06 01 06 03 61 0a 0b 01 03 62 06 03 61 01 06 03 62",
	},
	{
		name:  "traits reference",
		read:  "09 05 01 0a 13 03 43 03 61 01 0a 01 03",
		value: StrictArray{&Object{Class: "C", Members: Members{{"a", nil}}}, &Object{Class: "C", Members: Members{{"a", true}}}},
		write: "09 05 01 0a 13 03 43 03 61 01 0a 13 03 43 03 61 03",
	},
	{
		name: "value references count every complex type",
		read: "09 25 01" +
			"08 01 3ff0000000000000  0b 01  07 01  0c 01  0d 01 00  0e 01 00  0f 01 00  10 01 00 01  11 01 00" +
			"08 02  0b 04  07 06  0c 08  0d 0a  0e 0c  0f 0e  10 10  11 12",
		value: StrictArray{
			Date{Millis: 1}, XML(""), XMLDocument(""), ByteArray{},
			Vector[int32]{Items: []int32{}}, Vector[uint32]{Items: []uint32{}}, Vector[float64]{Items: []float64{}},
			Vector[Value]{Items: []Value{}}, Dictionary{Entries: []Entry{}},
			Date{Millis: 1}, XML(""), XMLDocument(""), ByteArray{},
			Vector[int32]{Items: []int32{}}, Vector[uint32]{Items: []uint32{}}, Vector[float64]{Items: []float64{}},
			Vector[Value]{Items: []Value{}}, Dictionary{Entries: []Entry{}},
		},
		write: "09 25 01" +
			"08 01 3ff0000000000000  0b 01  07 01  0c 01  0d 01 00  0e 01 00  0f 01 00  10 01 00 01  11 01 00" +
			"08 01 3ff0000000000000  0b 01  07 01  0c 01  0d 01 00  0e 01 00  0f 01 00  10 01 00 01  11 01 00",
	},
}
