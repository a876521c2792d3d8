package amf

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

// jsonCases is what the reader test, the writer test and the fuzz target share.
var jsonCases = []struct {
	name  string
	json  string
	value Value
	write string // if the writer's JSON is another
}{
	{name: "null", json: `null`, value: nil},
	{name: "true", json: `true`, value: true},
	{name: "false", json: `false`, value: false},
	{name: "zero", json: `0`, value: 0.0},
	{name: "integer", json: `-10`, value: -10.0},
	{name: "fraction", json: `0.1`, value: 0.1},
	{name: "large", json: `100000000000000000000`, value: 1e20},
	{name: "very large", json: `1e+21`, value: 1e21},
	{name: "small", json: `0.000001`, value: 1e-6},
	{name: "very small", json: `1e-7`, value: 1e-7},
	{name: "smallest", json: `5e-324`, value: 5e-324},
	{name: "largest", json: `1.7976931348623157e+308`, value: math.MaxFloat64},
	{name: "other forms of a number", json: `[1E2, 1.50, 12345678901234567890]`, value: StrictArray{100.0, 1.5, 12345678901234567890.0}, write: `[100,1.5,12345678901234567000]`},
	{name: "too small", json: `1e-999`, value: 0.0, write: `0`},
	{name: "-0", json: `{"$amf":"number","value":"-0"}`, value: math.Copysign(0, -1)},
	{name: "-0 as it is", json: `-0`, value: math.Copysign(0, -1), write: `{"$amf":"number","value":"-0"}`},
	{name: "infinity", json: `{"$amf":"number","value":"Infinity"}`, value: math.Inf(1)},
	{name: "negative infinity", json: `{"$amf":"number","value":"-Infinity"}`, value: math.Inf(-1)},
	{name: "NaN", json: `{"$amf":"number","value":"NaN"}`, value: math.NaN()},
	{name: "empty string", json: `""`, value: ""},
	{name: "string", json: `"hé <b>&"`, value: "hé <b>&"},
	{name: "controls", json: `"\"\\\n\r\t\u0000\u0008\u001f` + "\x7f" + `"`, value: "\"\\\n\r\t\x00\b\x1f\x7f"},
	{name: "escapes", json: `"\/\b\f\u00e9\ud83d\ude00\ud83d"`, value: "/\b\fé😀\ufffd", write: `"/\u0008\u000cé😀` + "\ufffd" + `"`},
	{name: "not UTF-8", json: `{"$amf":"string","base64":"YfA="}`, value: "a\xf0"},
	{name: "UTF-8 in base64", json: `{"$amf":"string","base64":"YQ=="}`, value: "a", write: `"a"`},
	{name: "empty array", json: `[]`, value: StrictArray{}},
	{name: "array", json: `[1,[true],"a"]`, value: StrictArray{1.0, StrictArray{true}, "a"}},
	{name: "empty object", json: `{}`, value: &Object{}},
	{name: "object", json: `{"y":1,"x":{"":null}}`, value: &Object{Members: Members{{"y", 1.0}, {"x", &Object{Members: Members{{"", nil}}}}}}},
	{
		name: "blanks", json: " { \"a\" :\n[ 1 ,\t{ } , [ ] ] ,\r \"b\" : \"c\" } ", write: `{"a":[1,{},[]],"b":"c"}`,
		value: &Object{Members: Members{{"a", StrictArray{1.0, &Object{}, StrictArray{}}}, {"b", "c"}}},
	},
	{
		name: "key twice", json: `{"a":1,"a":2}`, value: &Object{Members: Members{{"a", 1.0}, {"a", 2.0}}},
		write: `{"$amf":"object","members":[["a",1],["a",2]]}`,
	},
	{
		name: "key twice of many", json: `{"$amf":"object","members":[["a",0]` + strings.Repeat(`,["b",0]`, 16) + `]}`,
		value: &Object{Members: append(Members{{"a", 0.0}}, repeated(Member{"b", 0.0}, 16)...)},
	},
	{name: "reserved key", json: `{"$amf":"object","members":[["$amf","undefined"]]}`, value: &Object{Members: Members{{tag, "undefined"}}}},
	{name: "key is not UTF-8", json: `{"$amf":"object","members":[[{"$amf":"string","base64":"/w=="},1]]}`, value: &Object{Members: Members{{"\xff", 1.0}}}},
	{name: "typed object", json: `{"$amf":"object","class":"P","members":[["x",1],["y",2]]}`, value: &Object{Class: "P", Members: Members{{"x", 1.0}, {"y", 2.0}}}},
	{name: "empty typed object", json: `{"$amf":"object","class":"P","members":[]}`, value: &Object{Class: "P"}},
	{
		name: "another order", json: `{ "$amf" : "object" , "members" : [ [ "x" , 1 ] ] , "class" : "P" }`,
		value: &Object{Class: "P", Members: Members{{"x", 1.0}}}, write: `{"$amf":"object","class":"P","members":[["x",1]]}`,
	},
	{name: "plain object, tagged", json: `{"$amf":"object","members":[]}`, value: &Object{}, write: `{}`},
	{name: "undefined", json: `{"$amf":"undefined"}`, value: Undefined{}},
	{name: "ECMA array", json: `{"$amf":"array","members":[["b",true],["0",null]]}`, value: &ECMAArray{Members{{"b", true}, {"0", nil}}}},
	{name: "empty ECMA array", json: `{"$amf":"array","members":[]}`, value: &ECMAArray{}},
	{name: "date", json: `{"$amf":"date","millis":1500000000000.5,"zone":-60}`, value: Date{1500000000000.5, -60}},
	{name: "date without a zone", json: `{"$amf":"date","millis":0}`, value: Date{}},
	{name: "no date", json: `{"$amf":"date","millis":{"$amf":"number","value":"NaN"}}`, value: Date{Millis: math.NaN()}},
	{name: "XML", json: `{"$amf":"xml","text":"<a/>"}`, value: XML("<a/>")},
	{name: "XML document", json: `{"$amf":"xmldocument","text":{"$amf":"string","base64":"/w=="}}`, value: XMLDocument("\xff")},
	{name: "bytes", json: `{"$amf":"bytes","base64":"AQI="}`, value: ByteArray{1, 2}},
	{name: "no bytes", json: `{"$amf":"bytes","base64":""}`, value: ByteArray{}},
	{name: "vector of int", json: `{"$amf":"vector-int","items":[1,-2147483648],"fixed":true}`, value: Vector[int32]{Fixed: true, Items: []int32{1, math.MinInt32}}},
	{name: "vector of uint", json: `{"$amf":"vector-uint","items":[4294967295]}`, value: Vector[uint32]{Items: []uint32{math.MaxUint32}}},
	{
		name: "vector of double", json: `{"$amf":"vector-double","items":[1.5,{"$amf":"number","value":"NaN"}]}`,
		value: Vector[float64]{Items: []float64{1.5, math.NaN()}},
	},
	{name: "empty vector", json: `{"$amf":"vector-int","items":[]}`, value: Vector[int32]{Items: []int32{}}},
	{
		name: "vector of objects", json: `{"$amf":"vector-object","class":"P","items":[null,{"$amf":"object","class":"P","members":[]}],"fixed":true}`,
		value: Vector[Value]{Fixed: true, Class: "P", Items: []Value{nil, &Object{Class: "P"}}},
	},
	{
		name: "dictionary", json: `{"$amf":"dictionary","entries":[[{"x":1},"a"],["b",{}]],"weak":true}`,
		value: Dictionary{WeakKeys: true, Entries: []Entry{{&Object{Members: Members{{"x", 1.0}}}, "a"}, {"b", &Object{}}}},
	},
	{name: "empty dictionary", json: `{"$amf":"dictionary","entries":[]}`, value: Dictionary{Entries: []Entry{}}},
	{name: "the deepest", json: strings.Repeat("[", 64) + `{"$amf":"undefined"}` + strings.Repeat("]", 64), value: nested(64, Undefined{})},
}

func repeated(m Member, n int) (all Members) {
	for range n {
		all = append(all, m)
	}
	return all
}

func nested(depth int, v Value) Value {
	for range depth {
		v = StrictArray{v}
	}
	return v
}

func TestDecodeJSON(t *testing.T) {
	t.Parallel()
	for _, c := range jsonCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := DecodeJSON([]byte(c.json))
			if err != nil {
				t.Fatal(err)
			}
			if !equal(got, c.value) {
				t.Errorf("got %#v, want %#v", got, c.value)
			}
		})
	}
}

func TestAppendJSON(t *testing.T) {
	t.Parallel()
	for _, c := range jsonCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want := c.json
			if c.write != "" {
				want = c.write
			}
			got, err := AppendJSON([]byte("x"), c.value)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != "x"+want {
				t.Errorf("got %s, want x%s", got, want)
			}
		})
	}
}

// What only the writer knows.
func TestAppendJSONOther(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value Value
		want  string
	}{
		{5, "5"}, {int32(-5), "-5"}, {(*Object)(nil), "null"}, {(*ECMAArray)(nil), "null"},
		{StrictArray(nil), "[]"}, {ByteArray(nil), `{"$amf":"bytes","base64":""}`},
	} {
		if got, err := AppendJSON(nil, c.value); err != nil || string(got) != c.want {
			t.Errorf("%#v: got %s, %v, want %s", c.value, got, err, c.want)
		}
	}
}

// Plain numbers are those of encoding/json.
func TestAppendJSONNumbers(t *testing.T) {
	t.Parallel()
	for exp := -330; exp < 309; exp++ {
		for _, f := range []float64{math.Pow10(exp), -math.Pow10(exp), math.Pi * math.Pow10(exp-1)} {
			want, err := json.Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := AppendJSON(nil, f); err != nil || string(got) != string(want) && f != 0 {
				t.Errorf("%g: got %s, %v, want %s", f, got, err, want)
			}
		}
	}
}

func TestDecodeJSONErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		json string
		want error
	}{
		{``, ErrJSON}, {` `, ErrJSON}, {`nul`, ErrJSON}, {`1 2`, ErrJSON}, {`{}x`, ErrJSON}, {`[1,]`, ErrJSON}, {`01`, ErrJSON},
		{`{"a"}`, ErrJSON}, {`"a`, ErrJSON}, {"\"\n\"", ErrJSON}, {"\"\xff\"", ErrJSON}, {`NaN`, ErrJSON},
		{`1e999`, ErrJSON}, {`[-1e999]`, ErrJSON}, {`{"a":1e999}`, ErrJSON},
		{`{"$amf":5}`, ErrJSON}, {`{"$amf":{}}`, ErrJSON}, {`{"$amf":"no"}`, ErrJSON}, {`{"$amf":""}`, ErrJSON},
		{`{"a":1,"$amf":"undefined"}`, ErrJSON}, {`{"\u0024amf":"undefined"}`, ErrJSON},
		{`{"$amf":"undefined","a":1}`, ErrJSON}, {`{"$amf":"undefined","$amf":"undefined"}`, ErrJSON},
		{`{"$amf":"number"}`, ErrJSON}, {`{"$amf":"number","value":1}`, ErrJSON}, {`{"$amf":"number","value":"1"}`, ErrJSON},
		{`{"$amf":"number","value":{"$amf":"no"}}`, ErrJSON},
		{`{"$amf":"string"}`, ErrJSON}, {`{"$amf":"string","base64":"?"}`, ErrJSON}, {`{"$amf":"bytes","base64":1}`, ErrJSON},
		{`{"$amf":"xml","text":[]}`, ErrJSON}, {`{"$amf":"xml","text":"","text":""}`, ErrJSON},
		{`{"$amf":"date"}`, ErrJSON}, {`{"$amf":"date","millis":"1"}`, ErrJSON}, {`{"$amf":"date","millis":1,"zone":1.5}`, ErrJSON},
		{`{"$amf":"date","millis":1,"zone":32768}`, ErrJSON}, {`{"$amf":"date","millis":1,"zone":{"$amf":"number","value":"NaN"}}`, ErrJSON},
		{`{"$amf":"object"}`, ErrJSON}, {`{"$amf":"object","members":{}}`, ErrJSON}, {`{"$amf":"object","members":[1]}`, ErrJSON},
		{`{"$amf":"object","members":[[]]}`, ErrJSON}, {`{"$amf":"object","members":[["a"]]}`, ErrJSON},
		{`{"$amf":"object","members":[["a",1,2]]}`, ErrJSON}, {`{"$amf":"object","members":[[1,2]]}`, ErrJSON},
		{`{"$amf":"object","class":1,"members":[]}`, ErrJSON}, {`{"$amf":"array","class":"P","members":[]}`, ErrJSON},
		{`{"$amf":"vector-int","items":[1.5]}`, ErrJSON}, {`{"$amf":"vector-int","items":[2147483648]}`, ErrJSON},
		{`{"$amf":"vector-int","items":[{"$amf":"number","value":"NaN"}]}`, ErrJSON}, {`{"$amf":"vector-uint","items":[-1]}`, ErrJSON},
		{`{"$amf":"vector-double","items":["a"]}`, ErrJSON}, {`{"$amf":"vector-double","items":[],"fixed":1}`, ErrJSON},
		{`{"$amf":"vector-object","items":1}`, ErrJSON}, {`{"$amf":"dictionary","entries":[["a"]]}`, ErrJSON},
		{strings.Repeat("[", 65) + strings.Repeat("]", 65), ErrLimit},
		{strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65), ErrLimit},
		{strings.Repeat(`{"$amf":"vector-object","items":[`, 65) + strings.Repeat("]}", 65), ErrLimit},
		{strings.Repeat(`{"$amf":"array","members":[["a",`, 65) + "1" + strings.Repeat("]]}", 65), ErrLimit},
		{strings.Repeat(`{"$amf":"dictionary","entries":[[1,`, 65) + "1" + strings.Repeat("]]}", 65), ErrLimit},
		{strings.Repeat("[", 20000) + strings.Repeat("]", 20000), ErrJSON},
		{`{"` + strings.Repeat("a", maxName+1) + `":1}`, ErrLimit},
		{`{"$amf":"object","class":"` + strings.Repeat("a", maxName+1) + `","members":[]}`, ErrLimit},
		{`{"$amf":"array","members":[["` + strings.Repeat("a", maxName+1) + `",1]]}`, ErrLimit},
		{"[" + strings.Repeat("1,", maxSize/valueSize) + "1]", ErrLimit},
		{`"` + strings.Repeat("a", maxSize) + `"`, ErrLimit},
	} {
		if got, err := DecodeJSON([]byte(c.json)); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%.100s: got %v, error %v, want %v", c.json, got, err, c.want)
		}
	}
}

func TestAppendJSONErrors(t *testing.T) {
	t.Parallel()
	cycle := &Object{Members: Members{{"a", nil}}}
	cycle.Members[0].Value = cycle
	var wide Value = StrictArray{}
	for range 60 {
		wide = StrictArray{wide, wide}
	}
	name := strings.Repeat("a", maxName+1)
	for _, c := range []struct {
		value Value
		want  error
	}{
		{struct{}{}, ErrUnsupported}, {StrictArray{uint8(1)}, ErrUnsupported}, {cycle, ErrLimit}, {wide, ErrLimit}, {nested(65, nil), ErrLimit},
		{&ECMAArray{Members{{"a", cycle}}}, ErrLimit}, {Vector[Value]{Items: []Value{cycle}}, ErrLimit},
		{Dictionary{Entries: []Entry{{cycle, nil}}}, ErrLimit}, {Dictionary{Entries: []Entry{{nil, cycle}}}, ErrLimit},
		{&Object{Members: Members{{name, nil}}}, ErrLimit}, {&Object{Class: name}, ErrLimit}, {&ECMAArray{Members{{name, nil}}}, ErrLimit},
		{Vector[Value]{Class: name}, ErrLimit}, {strings.Repeat(name, 128), ErrLimit}, {XML(strings.Repeat(name, 128)), ErrLimit},
		{make(ByteArray, maxSize), ErrLimit}, {Vector[float64]{Items: make([]float64, maxSize/8)}, ErrLimit},
	} {
		if got, err := AppendJSON([]byte("x"), c.value); !errors.Is(err, c.want) || string(got) != "x" {
			t.Errorf("%T: got %.20s, error %v, want %v", c.value, got, err, c.want)
		}
	}
}

// Whatever AMF can say comes back from JSON.
func TestJSONOfGolden(t *testing.T) {
	t.Parallel()
	for _, format := range formats() {
		for _, g := range format.table {
			through(t, g.value)
		}
	}
}

// through sends v through JSON and back.
func through(t testing.TB, v Value) {
	t.Helper()
	b, err := AppendJSON(nil, v)
	if err != nil {
		t.Fatalf("%#v: %v", v, err)
	}
	if !json.Valid(b) {
		t.Fatalf("not JSON: %s", b)
	}
	back, err := DecodeJSON(b)
	if err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	if !equal(v, back) {
		t.Fatalf("%#v\nbecame %s\nand %#v", v, b, back)
	}
}

// equal compares values; integers are numbers, and NaN is equal to NaN.
func equal(a, b Value) bool { return reflect.DeepEqual(normal(a), normal(b)) }

type (
	nan     struct{}
	doubles struct {
		fixed bool
		items []Value
	}
	date struct {
		millis Value
		zone   int16
	}
)

func normal(v Value) Value {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) {
			return nan{}
		}
		return math.Float64bits(v)
	case int32:
		return normal(float64(v))
	case Date:
		return date{normal(v.Millis), v.Zone}
	case *Object:
		return &Object{v.Class, normalMembers(v.Members)}
	case *ECMAArray:
		return &ECMAArray{normalMembers(v.Members)}
	case StrictArray:
		return StrictArray(normalItems(v))
	case Vector[Value]:
		v.Items = normalItems(v.Items)
		return v
	case Vector[float64]:
		return doubles{v.Fixed, normalItems(v.Items)}
	case Dictionary:
		entries := make([]Entry, len(v.Entries))
		for i, e := range v.Entries {
			entries[i] = Entry{normal(e.Key), normal(e.Value)}
		}
		return Dictionary{v.WeakKeys, entries}
	}
	return v
}

func normalItems[T any](items []T) []Value {
	all := make([]Value, len(items))
	for i, v := range items {
		all[i] = normal(v)
	}
	return all
}

func normalMembers(members Members) (all Members) {
	for _, m := range members {
		all = append(all, Member{m.Key, normal(m.Value)})
	}
	return all
}

// FuzzJSONOfAMF: what decodes from AMF comes back from JSON.
func FuzzJSONOfAMF(f *testing.F) {
	for i, format := range formats() {
		for _, g := range format.table {
			f.Add(i == 1, unhex(f, g.read))
		}
	}
	f.Fuzz(func(t *testing.T, amf3 bool, b []byte) {
		decode := Decode0
		if amf3 {
			decode = Decode3
		}
		if v, _, err := decode(b); err == nil {
			through(t, v)
		}
	})
}

// FuzzDecodeJSON: what decodes from JSON comes back from it, and Append0 takes it.
func FuzzDecodeJSON(f *testing.F) {
	for _, c := range jsonCases {
		f.Add([]byte(c.json))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := DecodeJSON(b)
		if err != nil {
			return
		}
		through(t, v)
		if _, err := Append0(nil, v); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
	})
}

var jsonBenchmarks = []struct {
	name string
	json string
}{
	{"number", `10.5`},
	{"string", `"a short string"`},
	{"object", `{"x":10.5,"y":20,"name":"ball","visible":true}`},
}

func BenchmarkAppendJSON(b *testing.B) {
	for _, c := range jsonBenchmarks {
		b.Run(c.name, func(b *testing.B) {
			v, err := DecodeJSON([]byte(c.json))
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, 0, 128)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := AppendJSON(buf, v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeJSON(b *testing.B) {
	for _, c := range jsonBenchmarks {
		b.Run(c.name, func(b *testing.B) {
			body := []byte(c.json)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeJSON(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
