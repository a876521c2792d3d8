package handshake

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
)

// serverVersion is that of a Flash Media Server that serves H.264. Clients look
// at its first byte: below 3 they do not expect the digest form.
const serverVersion = 0x04050001

const digestSize = sha256.Size

// C1 and S1 are signed with the text of their side, S2 with the server's text and
// the key that both sides share.
const (
	playerKeyText = "Genuine Adobe Flash Player 001"
	serverKeyText = "Genuine Adobe Flash Media Server 001"

	sharedKey = "\xf0\xee\xc2\x4a\x80\x68\xbe\xe8\x2e\x00\xd0\xd1\x02\x9e\x7e\x57" +
		"\x6e\xec\x5d\x2d\x29\x80\x6f\xab\x93\xb8\xe6\x36\xcf\xeb\x31\xae"
)

// place is a scheme: where in C1 or S1 the block of 764 bytes begins that holds
// the digest. Its first four bytes tell where in the rest the digest is.
type place int

const (
	firstBlock  place = 8
	secondBlock place = 8 + 764
)

// offset returns where the digest of b begins.
func (p place) offset(b []byte) int {
	const choices = 764 - 4 - digestSize
	at := b[p : p+4]
	return int(p) + 4 + (int(at[0])+int(at[1])+int(at[2])+int(at[3]))%choices
}

// findDigest finds the digest that signs C1 or S1 with key. The result is a copy.
func findDigest(b []byte, key string) (found []byte, at place, ok bool) {
	if bytes.Equal(b[4:8], make([]byte, 4)) {
		return nil, 0, false // no version, no digest
	}
	for _, at := range []place{secondBlock, firstBlock} {
		i := at.offset(b)
		want := digest([]byte(key), b[:i], b[i+digestSize:])
		if hmac.Equal(want, b[i:i+digestSize]) {
			return want, at, true
		}
	}
	return nil, 0, false
}

func digest(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}
