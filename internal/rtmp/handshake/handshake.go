package handshake

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	version = 3
	size    = 1536 // of C1, C2, S1 and S2
)

// ErrVersion: the peer opened with a version other than 3: not RTMP, or RTMPE.
var ErrVersion = errors.New("not RTMP version 3")

// buffers are those of the server's side, which a crowd makes and drops at once.
var buffers = sync.Pool{New: func() any { return new([1 + 2*size]byte) }}

// Server does the server's side. It reads up to the end of C2 and no further, and
// returns before that only with an error. The caller sets the deadlines.
func Server(rw io.ReadWriter) error {
	buf := buffers.Get().(*[1 + 2*size]byte)
	defer buffers.Put(buf)
	s0s1, c1 := buf[:1+size], buf[1+size:]

	if err := readVersion(rw, buf[:1]); err != nil {
		return fmt.Errorf("read C0: %w", err)
	}
	if _, err := io.ReadFull(rw, c1); err != nil {
		return fmt.Errorf("read C1: %w", err)
	}
	// S2 takes the place of C1. In the simple form it is C1.
	s1, s2 := s0s1[1:], c1
	clear(s1[:8])
	rand.Read(s1[8:])
	if clientDigest, at, ok := findDigest(c1, playerKeyText); ok {
		signServer(s1, s2, clientDigest, at)
	}
	if _, err := rw.Write(buf[:]); err != nil {
		return fmt.Errorf("write S0, S1 and S2: %w", err)
	}
	if _, err := io.ReadFull(rw, s1); err != nil {
		return fmt.Errorf("read C2: %w", err)
	}
	return nil
}

// Client does the client's side, in the simple form. It reads up to the end of S2
// and no further. The caller sets the deadlines.
func Client(rw io.ReadWriter) error {
	var buf [1 + 2*size]byte
	c0c1, s1 := buf[:1+size], buf[1:1+size]
	buf[0] = version
	rand.Read(c0c1[1+8:])
	if _, err := rw.Write(c0c1); err != nil {
		return fmt.Errorf("write C0 and C1: %w", err)
	}
	if err := readVersion(rw, buf[:1]); err != nil {
		return fmt.Errorf("read S0: %w", err)
	}
	if _, err := io.ReadFull(rw, buf[1:]); err != nil {
		return fmt.Errorf("read S1 and S2: %w", err)
	}
	if _, err := rw.Write(s1); err != nil { // C2 repeats S1
		return fmt.Errorf("write C2: %w", err)
	}
	return nil
}

// readVersion reads alone the byte that tells other protocols apart, so that
// their clients learn at once, not after 1536 bytes.
func readVersion(r io.Reader, b []byte) error {
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	if b[0] != version {
		return fmt.Errorf("%w: version byte %d", ErrVersion, b[0])
	}
	return nil
}

// signServer fills S1 and S2 for a client that knows the digest form and whose
// digest was at the given place. s1 is random already.
func signServer(s1, s2, clientDigest []byte, at place) {
	binary.BigEndian.PutUint32(s1[4:], serverVersion)
	i := at.offset(s1)
	copy(s1[i:], digest([]byte(serverKeyText), s1[:i], s1[i+digestSize:]))

	signed := s2[:size-digestSize]
	rand.Read(signed)
	copy(s2[len(signed):], digest(digest([]byte(serverKeyText+sharedKey), clientDigest), signed))
}
