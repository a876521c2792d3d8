package handshake

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"testing"
	"testing/iotest"
)

// duplex is a peer that has said all before it hears anything.
type duplex struct {
	io.Reader
	bytes.Buffer
}

func (d *duplex) Read(p []byte) (int, error)  { return d.Reader.Read(p) }
func (d *duplex) Write(p []byte) (int, error) { return d.Buffer.Write(p) }

func TestClientAndServer(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	done := make(chan error)
	go func() { done <- Client(b) }()
	if err := Server(a); err != nil {
		t.Error("server:", err)
	}
	if err := <-done; err != nil {
		t.Error("client:", err)
	}
}

func TestServerSimple(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(c1 []byte){
		"no version":           func(c1 []byte) { clear(c1[4:8]) },
		"version, no digest":   func(c1 []byte) { copy(c1[4:8], "\x09\x00\x7c\x02") },
		"digest, no version":   func(c1 []byte) { clear(c1[4:8]); sign(c1, firstBlock) },
		"digest with an error": func(c1 []byte) { c1[4] = 9; sign(c1, firstBlock); c1[1535]++ },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c1 := randomC1()
			change(c1)
			answer := serve(t, c1)
			if answer[0] != 3 {
				t.Errorf("S0 is %d", answer[0])
			}
			if !bytes.Equal(answer[1+size:], c1) {
				t.Error("S2 is not C1")
			}
			if s1 := answer[1 : 1+size]; !bytes.Equal(s1[:8], make([]byte, 8)) {
				t.Errorf("S1 begins with % x", s1[:8])
			}
		})
	}
}

func TestServerDigest(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]place{"first block": firstBlock, "second block": secondBlock} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c1 := randomC1()
			copy(c1[4:8], "\x09\x00\x7c\x02")
			clientDigest := sign(c1, at)
			answer := serve(t, c1)
			s1, s2 := answer[1:1+size], answer[1+size:]
			if s1[4] < 3 {
				t.Errorf("server version %d: clients take the simple form", s1[4])
			}
			if _, got, ok := findDigest(s1, serverKeyText); !ok || got != at {
				t.Errorf("the digest of S1: %v, in block %d, want %d", ok, got, at)
			}
			if want := digest(digest([]byte(serverKeyText+sharedKey), clientDigest), s2[:size-32]); !bytes.Equal(s2[size-32:], want) {
				t.Error("S2 is not signed with the digest of C1")
			}
		})
	}
}

func TestDigestStaysInItsBlock(t *testing.T) {
	t.Parallel()
	b := bytes.Repeat([]byte{0xff}, size)
	for sum := range 4 * 255 {
		for i := range 4 {
			part := byte(min(255, max(0, sum-255*i)))
			b[firstBlock+place(i)], b[secondBlock+place(i)] = part, part
		}
		for _, at := range []place{firstBlock, secondBlock} {
			if i := at.offset(b); i < int(at)+4 || i+digestSize > int(at)+764 {
				t.Fatalf("sum %d: digest at %d in the block at %d", sum, i, at)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	whole := append([]byte{3}, make([]byte, 2*size)...)
	for _, c := range []struct {
		name string
		in   []byte
		want error
	}{
		{"RTMPE", []byte{6}, ErrVersion},
		{"RTMPE with XTEA", []byte{8}, ErrVersion},
		{"HTTP", []byte("GET / HTTP/1.1\r\n"), ErrVersion},
		{"nothing", nil, io.EOF},
		{"within C1", whole[:size], io.ErrUnexpectedEOF},
		{"within C2 or S2", whole[:2*size], io.ErrUnexpectedEOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for side, do := range map[string]func(io.ReadWriter) error{"server": Server, "client": Client} {
				if err := do(&duplex{Reader: bytes.NewReader(c.in)}); !errors.Is(err, c.want) {
					t.Errorf("%s: %v, want %v", side, err, c.want)
				}
			}
		})
	}
}

func FuzzServer(f *testing.F) {
	signed := randomC1()
	signed[4] = 9
	sign(signed, secondBlock)
	for _, c1 := range [][]byte{nil, make([]byte, size), signed} {
		f.Add(append([]byte{3}, c1...))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		in = append(in, make([]byte, size)...)
		if Server(&duplex{Reader: bytes.NewReader(in)}) == nil && len(in) < 1+2*size {
			t.Error("a handshake with less than C0, C1 and C2")
		}
	})
}

func BenchmarkServerDigest(b *testing.B) {
	c1 := randomC1()
	c1[4] = 9
	sign(c1, firstBlock)
	in := append(append([]byte{3}, c1...), make([]byte, size)...)
	b.ReportAllocs()
	for b.Loop() {
		if err := Server(&duplex{Reader: bytes.NewReader(in)}); err != nil {
			b.Fatal(err)
		}
	}
}

// serve gives the server C0, C1, C2 and a byte that it must not read, one byte
// at a time, and returns its answer.
func serve(t *testing.T, c1 []byte) []byte {
	t.Helper()
	in := bytes.NewReader(append(append([]byte{3}, c1...), make([]byte, size+1)...))
	d := &duplex{Reader: iotest.OneByteReader(in)}
	if err := Server(d); err != nil {
		t.Fatal(err)
	}
	if in.Len() != 1 {
		t.Fatalf("%d bytes left after C2, want 1", in.Len())
	}
	if d.Len() != 1+2*size {
		t.Fatalf("answered %d bytes", d.Len())
	}
	return d.Bytes()
}

func randomC1() []byte {
	c1 := make([]byte, size)
	rand.Read(c1)
	return c1
}

func sign(c1 []byte, at place) []byte {
	i := at.offset(c1)
	d := digest([]byte(playerKeyText), c1[:i], c1[i+digestSize:])
	copy(c1[i:], d)
	return d
}
