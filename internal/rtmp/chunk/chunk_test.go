package chunk

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// wireCases is what the reader test, the writer test and the fuzz targets share.
var wireCases = []struct {
	name string
	wire string // hexadecimal, blanks ignored; NxBB stands for N bytes BB
	want []Message
	err  error // after the messages; nil means io.EOF
	// canonical says that Append writes the very same bytes.
	canonical bool
}{
	{name: "nothing", canonical: true},
	{
		name:      "one byte basic header",
		wire:      "03 000005 000003 14 00000000 616263",
		want:      []Message{{3, 5, 20, 0, []byte("abc")}},
		canonical: true,
	},
	{
		name:      "message stream id is little endian",
		wire:      "04 000000 000001 08 01000000 af",
		want:      []Message{{4, 0, 8, 1, []byte{0xaf}}},
		canonical: true,
	},
	{
		name:      "two byte basic header, first and last id",
		wire:      "00 00 000000 000000 09 00000000  00 ff 000000 000000 09 00000000",
		want:      []Message{{64, 0, 9, 0, []byte{}}, {319, 0, 9, 0, []byte{}}},
		canonical: true,
	},
	{
		name:      "three byte basic header, first and last id",
		wire:      "01 0001 000000 000000 09 00000000  01 ffff 000000 000000 09 00000000",
		want:      []Message{{320, 0, 9, 0, []byte{}}, {65599, 0, 9, 0, []byte{}}},
		canonical: true,
	},
	{
		name: "three byte basic header that two could tell",
		wire: "01 0100 000000 000000 09 00000000",
		want: []Message{{65, 0, 9, 0, []byte{}}},
	},
	{
		name:      "two chunks",
		wire:      "06 000000 000081 09 01000000 128xaa c6 bb",
		want:      []Message{{6, 0, 9, 1, append(repeat(0xaa, 128), 0xbb)}},
		canonical: true,
	},
	{
		name:      "exactly one chunk",
		wire:      "06 000000 000080 09 01000000 128xaa",
		want:      []Message{{6, 0, 9, 1, repeat(0xaa, 128)}},
		canonical: true,
	},
	{
		name: "types 1 and 2 inherit",
		wire: "04 0003e8 000001 08 01000000 01  44 000014 000002 09 0202  84 000015 0303",
		want: []Message{{4, 1000, 8, 1, []byte{1}}, {4, 1020, 9, 1, []byte{2, 2}}, {4, 1041, 9, 1, []byte{3, 3}}},
	},
	{
		name: "type 3 starts a message with the last delta",
		wire: "04 0003e8 000001 08 01000000 01  84 000014 02  c4 03  c4 04",
		want: []Message{{4, 1000, 8, 1, []byte{1}}, {4, 1020, 8, 1, []byte{2}}, {4, 1040, 8, 1, []byte{3}}, {4, 1060, 8, 1, []byte{4}}},
	},
	{
		name: "type 3 after type 0 adds its timestamp (5.3.1.2.4)",
		wire: "04 000017 000001 08 01000000 01  c4 02",
		want: []Message{{4, 23, 8, 1, []byte{1}}, {4, 46, 8, 1, []byte{2}}},
	},
	{
		name: "interleaved chunk streams",
		wire: "06 000000 000081 09 01000000 128xaa  04 000000 000001 08 01000000 cc  c6 bb",
		want: []Message{{4, 0, 8, 1, []byte{0xcc}}, {6, 0, 9, 1, append(repeat(0xaa, 128), 0xbb)}},
	},
	{
		name:      "extended timestamp, the smallest",
		wire:      "04 ffffff 000001 08 01000000 00ffffff 01",
		want:      []Message{{4, 0xffffff, 8, 1, []byte{1}}},
		canonical: true,
	},
	{
		name:      "the largest plain timestamp",
		wire:      "04 fffffe 000001 08 01000000 01",
		want:      []Message{{4, 0xfffffe, 8, 1, []byte{1}}},
		canonical: true,
	},
	{
		name:      "extended timestamp, repeated in type 3",
		wire:      "06 ffffff 000081 09 01000000 01020304 128xaa c6 01020304 bb",
		want:      []Message{{6, 0x01020304, 9, 1, append(repeat(0xaa, 128), 0xbb)}},
		canonical: true,
	},
	{
		name: "extended timestamp, not repeated in type 3",
		wire: "06 ffffff 000085 09 01000000 01020304 128xaa c6 01020305bb",
		want: []Message{{6, 0x01020304, 9, 1, append(repeat(0xaa, 128), 1, 2, 3, 5, 0xbb)}},
	},
	{
		name: "extended timestamp, not repeated, fewer than 4 bytes to the end",
		wire: "06 ffffff 000082 09 01000000 01020304 128xaa c6 0102",
		want: []Message{{6, 0x01020304, 9, 1, append(repeat(0xaa, 128), 1, 2)}},
	},
	{
		name: "extended delta, repeated when type 3 starts a message",
		wire: "04 000001 000001 08 01000000 01  84 ffffff 01000000 02  c4 01000000 03",
		want: []Message{{4, 1, 8, 1, []byte{1}}, {4, 0x01000001, 8, 1, []byte{2}}, {4, 0x02000001, 8, 1, []byte{3}}},
	},
	{
		name: "a plain delta ends the extended timestamp",
		wire: "06 ffffff 000001 09 01000000 01020304 aa  46 000001 000081 09 128xbb c6 cc",
		want: []Message{{6, 0x01020304, 9, 1, []byte{0xaa}}, {6, 0x01020305, 9, 1, append(repeat(0xbb, 128), 0xcc)}},
	},
	{
		name: "timestamps wrap",
		wire: "04 ffffff 000001 08 01000000 fffffff0 01  84 000014 02",
		want: []Message{{4, 0xfffffff0, 8, 1, []byte{1}}, {4, 4, 8, 1, []byte{2}}},
	},
	{
		name: "timestamps backwards",
		wire: "04 000064 000001 08 01000000 01  04 00000a 000001 08 01000000 02",
		want: []Message{{4, 100, 8, 1, []byte{1}}, {4, 10, 8, 1, []byte{2}}},
	},
	{
		name: "librtmp's first ping is type 1",
		wire: "42 000001 000006 04 0003 00000000",
		want: []Message{{2, 1, 4, 0, []byte{0, 3, 0, 0, 0, 0}}},
	},
	{
		name: "set chunk size, within a message of another chunk stream",
		wire: "06 000000 000083 09 01000000 128xaa  02 000000 000004 01 00000000 00000001  c6 01 c6 02 c6 03",
		want: []Message{{6, 0, 9, 1, append(repeat(0xaa, 128), 1, 2, 3)}},
	},
	{
		name: "set chunk size, larger than any message",
		wire: "02 000000 000004 01 00000000 7fffffff  06 000000 000081 09 01000000 129xaa",
		want: []Message{{6, 0, 9, 1, repeat(0xaa, 129)}},
	},
	{
		name: "abort",
		wire: "06 000000 000081 09 01000000 128xaa  02 000000 000004 02 00000000 00000006  46 000005 000001 09 bb",
		want: []Message{{6, 5, 9, 1, []byte{0xbb}}},
	},
	{
		name: "abort of what is not there",
		wire: "02 000000 000004 02 00000000 00000006  02 000000 000004 02 00000000 00000002",
	},
	{
		name:      "types 0 and 255",
		wire:      "03 000000 000001 00 00000000 01  03 000000 000001 ff 00000000 02",
		want:      []Message{{3, 0, 0, 0, []byte{1}}, {3, 0, 255, 0, []byte{2}}},
		canonical: true,
	},

	{name: "type 3 without predecessor", wire: "c3", err: ErrNoPredecessor},
	{name: "type 2 without predecessor", wire: "83 000001", err: ErrNoPredecessor},
	{name: "chunk size 0", wire: "02 000000 000004 01 00000000 00000000", err: ErrControl},
	{name: "chunk size 2^31", wire: "02 000000 000004 01 00000000 80000000", err: ErrControl},
	{name: "chunk size of 3 bytes", wire: "02 000000 000003 01 00000000 000001", err: ErrControl},
	{name: "abort of 5 bytes", wire: "02 000000 000005 02 00000000 0000000000", err: ErrControl},
	{name: "type 0 within a message", wire: "06 000000 000081 09 01000000 128xaa 06", err: ErrInterrupted},
	{name: "command too large", wire: "03 000000 010001 14 00000000", err: ErrMessageSize},
	{name: "video too large", wire: "06 000000 800001 09 00000000", err: ErrMessageSize},
	{name: "cut off in the basic header", wire: "01 00", err: io.ErrUnexpectedEOF},
	{name: "cut off in the header", wire: "03 000000", err: io.ErrUnexpectedEOF},
	{name: "cut off in the extended timestamp", wire: "03 ffffff 000000 14 00000000 00", err: io.ErrUnexpectedEOF},
	{name: "cut off in the payload", wire: "03 000000 000003 14 00000000 6162", err: io.ErrUnexpectedEOF},
	{name: "cut off before the payload", wire: "03 000000 000003 14 00000000", err: io.ErrUnexpectedEOF},
}

func TestReader(t *testing.T) {
	t.Parallel()
	for _, c := range wireCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			wire := unhex(t, c.wire)
			for how, in := range map[string]io.Reader{
				"whole":       bytes.NewReader(wire),
				"byte a time": iotest.OneByteReader(bytes.NewReader(wire)),
			} {
				r := NewReader(in, DefaultLimits())
				got, err := readAll(r)
				if want := cmp.Or(c.err, io.EOF); !errors.Is(err, want) {
					t.Errorf("%s: error %v, want %v", how, err, want)
				}
				if !reflect.DeepEqual(got, c.want) {
					t.Errorf("%s: got\n%v, want\n%v", how, got, c.want)
				}
				if c.err == nil && r.BytesRead() != uint64(len(wire)) {
					t.Errorf("%s: BytesRead %d, want %d", how, r.BytesRead(), len(wire))
				}
				if c.err == nil && r.unfinished != 0 {
					t.Errorf("%s: %d bytes still counted as unfinished", how, r.unfinished)
				}
			}
		})
	}
}

func TestAppend(t *testing.T) {
	t.Parallel()
	for _, c := range wireCases {
		if !c.canonical {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got []byte
			for _, m := range c.want {
				got = Append(got, m, DefaultSize)
			}
			if want := unhex(t, c.wire); !bytes.Equal(got, want) {
				t.Errorf("got\n%x, want\n%x", got, want)
			}
		})
	}
}

// A sender that does not repeat the timestamp and pauses within the four bytes
// where it would be must not delay the message that it has finished.
func TestReaderDoesNotWaitForARepeatedTimestamp(t *testing.T) {
	t.Parallel()
	in, out := io.Pipe()
	defer out.Close()
	go out.Write(unhex(t, "06 ffffff 000081 09 01000000 01020304 128xaa c6 bb"))
	m, err := NewReader(in, DefaultLimits()).Read()
	if err != nil || len(m.Payload) != 129 {
		t.Fatalf("Read: %d bytes, %v", len(m.Payload), err)
	}
}

func TestReaderLimits(t *testing.T) {
	t.Parallel()
	t.Run("chunk streams", func(t *testing.T) {
		t.Parallel()
		var wire []byte
		for id := range uint32(65) {
			wire = Append(wire, Message{ChunkStreamID: 3 + id, Type: 8}, DefaultSize)
		}
		got, err := readAll(NewReader(bytes.NewReader(wire), DefaultLimits()))
		if len(got) != 64 || !errors.Is(err, ErrChunkStreams) {
			t.Errorf("%d messages, %v", len(got), err)
		}
	})
	t.Run("unfinished messages", func(t *testing.T) {
		t.Parallel()
		limits := DefaultLimits()
		limits.Unfinished = 3 * minRoom
		var wire []byte
		for id := range byte(4) {
			wire = append(wire, 3+id, 0, 0, 0, 0, 0xff, 0xff, 20, 0, 0, 0, 0)
			wire = append(wire, repeat(1, 128)...)
		}
		_, err := readAll(NewReader(bytes.NewReader(wire), limits))
		if !errors.Is(err, ErrUnfinished) {
			t.Errorf("error %v, want %v", err, ErrUnfinished)
		}
	})
}

// 64 chunk streams that each promise 8 MiB and send one byte cost what arrived,
// not what was promised.
func TestReaderDoesNotTrustPromises(t *testing.T) {
	t.Parallel()
	wire := []byte{2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 1} // chunk size 1
	for id := range byte(60) {
		wire = append(wire, 3+id, 0, 0, 0, 0x80, 0, 0, 9, 0, 0, 0, 0, 0xaa)
	}
	r := NewReader(bytes.NewReader(wire), DefaultLimits())
	if _, err := readAll(r); err != io.EOF {
		t.Fatal(err)
	}
	if r.unfinished > 60*minRoom {
		t.Errorf("holds %d bytes for %d that arrived", r.unfinished, len(wire))
	}
}

func FuzzReader(f *testing.F) {
	for _, c := range wireCases {
		f.Add(unhex(f, c.wire))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		r := NewReader(bytes.NewReader(wire), DefaultLimits())
		got, _ := readAll(r)
		if r.BytesRead() > uint64(len(wire)) {
			t.Fatalf("BytesRead %d of %d", r.BytesRead(), len(wire))
		}
		if limit := 2*len(wire) + 64*minRoom; r.unfinished > limit {
			t.Fatalf("holds %d bytes for %d", r.unfinished, len(wire))
		}
		var again []byte
		for _, m := range got {
			again = Append(again, m, 100)
		}
		r = NewReader(bytes.NewReader(again), DefaultLimits())
		r.chunkSize = 100
		if back, err := readAll(r); err != io.EOF || !reflect.DeepEqual(back, got) {
			t.Fatalf("%v\nbecame %v, %v", got, back, err)
		}
	})
}

// BenchmarkRead reads a publisher of 3 Mbps: video at 30 frames/s, audio at
// 43 frames/s, in the chunk sizes of ffmpeg, OBS and of a large sender.
func BenchmarkRead(b *testing.B) {
	for name, chunkSize := range chunkSizes {
		b.Run(name, func(b *testing.B) {
			wire := stream(chunkSize)
			r := NewReader(&loop{wire: wire}, DefaultLimits())
			r.chunkSize = chunkSize
			b.SetBytes(int64(len(wire)))
			b.ReportAllocs()
			for b.Loop() {
				for range messagesPerSecond {
					if _, err := r.Read(); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(messagesPerSecond, "msgs/op")
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for name, chunkSize := range chunkSizes {
		b.Run(name, func(b *testing.B) {
			m := Message{ChunkStreamID: 6, Timestamp: 40, Type: 9, StreamID: 1, Payload: make([]byte, 12<<10)}
			var dst []byte
			b.SetBytes(int64(len(m.Payload)))
			b.ReportAllocs()
			for b.Loop() {
				dst = Append(dst[:0], m, chunkSize)
			}
		})
	}
}

var chunkSizes = map[string]int{"chunk=128": 128, "chunk=4096": 4096, "chunk=65536": 65536}

const messagesPerSecond = 30 + 43

// stream is one second of media.
func stream(chunkSize int) (wire []byte) {
	for i := range uint32(messagesPerSecond) {
		m := Message{ChunkStreamID: 4, Timestamp: i * 14, Type: 8, StreamID: 1, Payload: make([]byte, 370)}
		if i%73*30/73 != (i+1)%73*30/73 {
			m = Message{ChunkStreamID: 6, Timestamp: i * 14, Type: 9, StreamID: 1, Payload: make([]byte, 12<<10)}
		}
		wire = Append(wire, m, chunkSize)
	}
	return wire
}

// loop repeats wire for ever.
type loop struct {
	wire []byte
	at   int
}

func (l *loop) Read(p []byte) (int, error) {
	n := copy(p, l.wire[l.at:])
	l.at = (l.at + n) % len(l.wire)
	return n, nil
}

func readAll(r *Reader) (all []Message, err error) {
	for {
		m, err := r.Read()
		if err != nil {
			return all, err
		}
		all = append(all, m)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	var out []byte
	for _, word := range strings.Fields(s) {
		count := 1
		if n, b, ok := strings.Cut(word, "x"); ok {
			word = b
			for count = 0; n != ""; n = n[1:] {
				count = 10*count + int(n[0]-'0')
			}
		}
		b, err := hex.DecodeString(word)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, bytes.Repeat(b, count)...)
	}
	return out
}

func repeat(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

// slowSource gives its parts one after the other, and fails in between as a connection does whose
// deadline is over.
type slowSource struct{ parts [][]byte }

func (s *slowSource) Read(b []byte) (int, error) {
	if len(s.parts) == 0 {
		return 0, io.EOF
	}
	part := s.parts[0]
	s.parts = s.parts[1:]
	if part == nil {
		return 0, os.ErrDeadlineExceeded
	}
	return copy(b, part), nil
}

// A reader that waits for the next message may be asked again, with or without a buffer in between.
func TestAwait(t *testing.T) {
	t.Parallel()
	want := Message{ChunkStreamID: 3, Type: 20, Payload: []byte("hello")}
	whole := Append(nil, want, DefaultSize)
	r := NewReader(&slowSource{[][]byte{nil, whole, nil, append(slices.Clone(whole), whole...)}}, DefaultLimits())
	for range 2 {
		if err := r.Await(); !errors.Is(err, os.ErrDeadlineExceeded) || !r.Release() {
			t.Fatal(err)
		}
		if err := r.Await(); err != nil || r.Release() {
			t.Fatal("released what has not been read", err)
		}
		if m, err := r.Read(); err != nil || string(m.Payload) != "hello" {
			t.Fatal(m, err)
		}
	}
	if r.Release() {
		t.Fatal("released what has not been read")
	}
	if m, err := r.Read(); err != nil || string(m.Payload) != "hello" || !r.Release() {
		t.Fatal(m, err)
	}
	if err := r.Await(); err != io.EOF {
		t.Fatal(err)
	}
	if n := r.BytesRead(); n != uint64(3*len(whole)) {
		t.Errorf("%d bytes read", n)
	}
}
