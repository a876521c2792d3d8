package bus

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// partCases are read, written, and the seeds of the fuzz test.
var partCases = []struct {
	name    string
	subject string
	header  nats.Header
	part    part
}{
	{
		name:    "delta",
		subject: "live.0.live.a.delta",
		header:  nats.Header{"Nats-Msg-Id": {"7.2"}, "Natscast-Dts": {"40"}},
		part: part{
			Chunk: Chunk{Position: Position{7, 2}, Shard: "0", DTS: 40, Payload: []byte("media")},
			index: 1,
			count: 1,
		},
	},
	{
		name:    "key",
		subject: "live.0.live.a.key",
		header: nats.Header{
			"Nats-Msg-Id": {
				"7.1",
			}, "Natscast-Dts": {"4294967295"}, "Natscast-Headers": {"3"}, "Natscast-Stored": {"99"},
		},
		part: part{Chunk: Chunk{
			Position: Position{
				7,
				1,
			}, Shard: "0", Key: true, Headers: 3, DTS: 1<<32 - 1, Payload: []byte("media"), stored: 99,
		}, index: 1, count: 1},
	},
	{
		name:    "end",
		subject: "live.0.live.a.delta",
		header: nats.Header{
			"Nats-Msg-Id":  {"7.3"},
			"Natscast-Dts": {"0"},
			"Natscast-End": {"unpublished"},
		},
		part: part{
			Chunk: Chunk{Position: Position{7, 3}, Shard: "0", End: true, Payload: []byte{}},
			index: 1,
			count: 1,
		},
	},
	{
		name:    "first part",
		subject: "live.shard-2.live.a.key",
		header: nats.Header{
			"Nats-Msg-Id": {
				"7.4",
			}, "Natscast-Dts": {"80"}, "Natscast-Headers": {"3000"}, "Natscast-Part": {"1/12"},
		},
		part: part{Chunk: Chunk{
			Position: Position{
				7,
				4,
			}, Shard: "shard-2", Key: true, Headers: 3000, DTS: 80, Payload: []byte("med"),
		}, index: 1, count: 12},
	},
	{
		name:    "last part",
		subject: "live.shard-2.live.a.delta",
		header: nats.Header{
			"Nats-Msg-Id":   {"7.4.12"},
			"Natscast-Dts":  {"80"},
			"Natscast-Part": {"12/12"},
		},
		part: part{Chunk: Chunk{
			Position: Position{7, 4}, Shard: "shard-2", DTS: 80, Payload: []byte("ia"),
		}, index: 12, count: 12},
	},
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, c := range partCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := decode(c.subject, c.header, c.part.Payload)
			if err != nil || !reflect.DeepEqual(got, c.part) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	h := nats.Header{} // of all messages, one after the other
	for _, c := range partCases {
		encode(h, &c.part)
		if !reflect.DeepEqual(h, c.header) {
			t.Errorf("%s: %v", c.name, h)
		}
		to := subjectsOf(liveSubject(c.part.Shard, "live/a"))
		if got := to.of(&c.part); got != c.subject {
			t.Errorf("%s: subject %s", c.name, got)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	t.Parallel()
	const key, delta = "live.0.live.a.key", "live.0.live.a.delta"
	id := func(id string, more ...string) nats.Header {
		h := nats.Header{headerID: {id}}
		for i := 0; i < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return h
	}
	for name, c := range map[string]struct {
		subject string
		header  nats.Header
		data    string
	}{
		"nothing":           {"", nil, ""},
		"no header":         {delta, nil, "media"},
		"other subject":     {"refill.0.live.a.key", id("7.1"), ""},
		"no name":           {"live.0.key", id("7.1"), ""},
		"other suffix":      {"live.0.live.a.b", id("7.1"), ""},
		"no sequence":       {delta, id("7"), ""},
		"sequence 0":        {delta, id("7.0"), ""},
		"epoch 0":           {delta, id("0.7"), ""},
		"negative":          {delta, id("7.-1"), ""},
		"too large":         {delta, id("7.18446744073709551616"), ""},
		"DTS":               {delta, id("7.1", headerDTS, "4294967296"), ""},
		"stored":            {delta, id("7.1", headerStored, "x"), ""},
		"headers, no key":   {delta, id("7.1", headerHeaders, "1"), "media"},
		"headers too long":  {key, id("7.1", headerHeaders, "6"), "media"},
		"end with payload":  {delta, id("7.1", headerEnd, endUnpublished), "media"},
		"end with a key":    {key, id("7.1", headerEnd, endUnpublished), ""},
		"part 0":            {delta, id("7.1", headerPart, "0/2"), ""},
		"part 3 of 2":       {delta, id("7.1.3", headerPart, "3/2"), ""},
		"part of 1":         {delta, id("7.1", headerPart, "1/1"), ""},
		"too many parts":    {delta, id("7.1", headerPart, "1/1025"), ""},
		"part, other id":    {delta, id("7.1.3", headerPart, "2/3"), ""},
		"part, plain id":    {delta, id("7.1", headerPart, "2/3"), ""},
		"part id, no part":  {delta, id("7.1.2"), ""},
		"second part, key":  {key, id("7.1.2", headerPart, "2/3"), ""},
		"part of an end":    {delta, id("7.1", headerPart, "1/2", headerEnd, endUnpublished), ""},
		"larger than chunk": {delta, id("7.1"), strings.Repeat("x", maxChunk+1)},
	} {
		if p, err := decode(c.subject, c.header, []byte(c.data)); !errors.Is(err, errMessage) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range partCases {
		h := c.header
		f.Add(c.subject, h.Get(headerID), h.Get(headerDTS), h.Get(headerHeaders), h.Get(headerPart),
			h.Get(headerEnd), h.Get(headerStored), c.part.Payload)
	}
	f.Fuzz(func(t *testing.T, subject, id, dts, headers, index, end, stored string, data []byte) {
		p, err := decode(subject, nats.Header{
			headerID: {id}, headerDTS: {dts}, headerHeaders: {headers}, headerPart: {index},
			headerEnd: {end}, headerStored: {stored},
		}, data)
		if err != nil {
			if !errors.Is(err, errMessage) {
				t.Fatal(err)
			}
			return
		}
		h := nats.Header{}
		encode(h, &p)
		if again, err := decode(subject, h, p.Payload); err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("%+v, %v, from %+v", again, err, p)
		}
		var a assembler
		if _, _, err := a.add(p); err != nil && !errors.Is(err, errMessage) {
			t.Fatal(err)
		}
	})
}

func TestParts(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 9, 10, 11, 20, 95} {
		c := Chunk{
			Position: Position{3, 4},
			Shard:    "1",
			Key:      true,
			Headers:  size,
			DTS:      5,
			Payload:  bytes.Repeat([]byte("x"), size),
		}
		parts := split(c, 10)
		if want := max(1, (size+9)/10); len(parts) != want {
			t.Errorf("%d bytes: %d parts, want %d", size, len(parts), want)
		}
		var a assembler
		for i := range parts { // backwards, the last one twice
			p := parts[len(parts)-1-i]
			got, ok, err := a.add(p)
			if last := i == len(parts)-1; err != nil || ok != last ||
				ok && !reflect.DeepEqual(got, c) {
				t.Errorf("%d bytes, part %d: %+v, %v, %v", size, p.index, got, ok, err)
			}
			if i < len(parts)-1 {
				if _, ok, err := a.add(p); ok || err != nil {
					t.Errorf("%d bytes, part %d again: %v, %v", size, p.index, ok, err)
				}
			}
		}
		if len(a.partial) != 0 {
			t.Errorf("%d bytes: %d chunks left over", size, len(a.partial))
		}
	}
}

func TestPartErrors(t *testing.T) {
	t.Parallel()
	at := func(seq uint64, index, count, size int) part {
		return part{
			Chunk: Chunk{Position: Position{1, seq}, Payload: make([]byte, size)},
			index: index,
			count: count,
		}
	}
	t.Run("another count", func(t *testing.T) {
		t.Parallel()
		var a assembler
		if _, _, err := a.add(at(1, 1, 3, 5)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := a.add(at(1, 2, 2, 5)); !errors.Is(err, errMessage) {
			t.Error(err)
		}
	})
	t.Run("too large", func(t *testing.T) {
		t.Parallel()
		var a assembler
		if _, _, err := a.add(at(1, 1, 3, maxChunk/2)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := a.add(at(1, 2, 3, maxChunk/2+1)); !errors.Is(err, errMessage) {
			t.Error(err)
		}
	})
	t.Run("headers beyond the chunk", func(t *testing.T) {
		t.Parallel()
		var a assembler
		p := at(1, 1, 2, 5)
		p.Key, p.Headers = true, 11
		if _, _, err := a.add(p); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := a.add(at(1, 2, 2, 5)); ok || !errors.Is(err, errMessage) {
			t.Error(ok, err)
		}
	})
	t.Run("unfinished chunks are bounded", func(t *testing.T) {
		t.Parallel()
		var a assembler
		for seq := range uint64(100) {
			if _, _, err := a.add(at(seq, 1, 2, 5)); err != nil {
				t.Fatal(err)
			}
		}
		if len(a.partial) != maxPartial {
			t.Errorf("%d", len(a.partial))
		}
	})
}

var ackCases = map[string]ack{
	`{"stream":"LIVE_0","seq":22}`: {
		ok:       true,
		sequence: 22,
	},
	`{"stream":"LIVE_0", "seq":22}`: {
		ok:       true,
		sequence: 22,
	},
	`{"stream":"LIVE_0","domain":"hub","seq": 7,"duplicate":true}`: {
		ok:        true,
		duplicate: true,
		sequence:  7,
	},
	`{"error":{"code":503,"err_code":10077,"description":"x"},"stream":"L","seq":0}`: {},
	`{"stream":"LIVE_0","seq":0}`:                    {},
	`{"stream":"LIVE_0","seq":18446744073709551616}`: {},
	`{"stream":"LIVE_0"}`:                            {},
	``:                                               {},
}

func TestParseAck(t *testing.T) {
	t.Parallel()
	for in, want := range ackCases {
		got := parseAck([]byte(in))
		if !got.ok && !want.ok {
			continue
		}
		if got != want {
			t.Errorf("%s: %+v", in, got)
		}
	}
}

func FuzzParseAck(f *testing.F) {
	for in := range ackCases {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if a := parseAck(in); a.ok && a.sequence == 0 {
			t.Fatalf("%+v", a)
		}
	})
}

func TestWindow(t *testing.T) {
	t.Parallel()
	var w window
	next, oldest := uint64(0), uint64(0)
	for round := range 200 {
		for range round%7 + 1 {
			if got := w.push(message{part: part{Chunk: Chunk{Position: Position{1, next}, Payload: make([]byte, 3)}}}); got != next {
				t.Fatalf("pushed %d, want %d", got, next)
			}
			next++
		}
		for range round % 6 {
			if w.len() > 0 {
				w.pop()
				oldest++
			}
		}
		if w.len() != int(next-oldest) || w.bytes != 3*w.len() || w.first != oldest {
			t.Fatalf(
				"%d messages of %d bytes from %d, want %d to %d",
				w.len(),
				w.bytes,
				w.first,
				oldest,
				next,
			)
		}
		for number := oldest; number < next; number++ {
			if m := w.at(number); m == nil || m.Seq != number {
				t.Fatalf("%d: %+v", number, m)
			}
		}
		if w.at(next) != nil || w.at(oldest-1) != nil {
			t.Fatal("messages beyond the window")
		}
	}
}
