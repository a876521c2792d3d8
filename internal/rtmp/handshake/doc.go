// Package handshake does the RTMP handshake (RTMP 1.0, section 5.2), the server's
// side and the client's.
//
//	client                     server
//	C0 (version) C1 (1536) ─>
//	                       <─  S0 (version) S1 (1536) S2 (1536)
//	C2 (1536)              ─>
//
// The server knows two forms. In the simple one, which is the specification's, S2
// repeats C1 in full: some clients compare it. In the digest form, which Flash
// Player 9 brought, C1 holds an HMAC-SHA256 of itself at a place that depends on
// its other bytes, in one of two schemes; ffmpeg and Flash check that S1 and S2
// are signed likewise, and Flash plays H.264 and AAC only then. The server takes
// this form if C1 tells a client version and its digest is right in either scheme.
//
// C2 is read and not judged: clients fill it in many ways. Neither side reads
// beyond the other's last byte, so that no buffered reader is needed. Encrypted
// RTMP (RTMPE, versions 6 and 8) is refused.
package handshake
