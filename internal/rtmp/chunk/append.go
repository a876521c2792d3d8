package chunk

import (
	"encoding/binary"
	"slices"
)

// Append appends m to dst in chunks of chunkSize bytes, the size last announced
// to the peer: a type 0 header, then type 3 headers, each with the extended
// timestamp if there is one (5.3.1.3). It allocates at most once.
func Append(dst []byte, m Message, chunkSize int) []byte {
	chunkSize = max(chunkSize, 1)
	dst = slices.Grow(dst, appendedSize(m, chunkSize))

	extended := m.Timestamp >= extendedMark
	time := min(m.Timestamp, extendedMark)
	n := len(m.Payload)
	dst = appendBasicHeader(dst, 0, m.ChunkStreamID)
	dst = append(
		dst,
		byte(time>>16),
		byte(time>>8),
		byte(time),
		byte(n>>16),
		byte(n>>8),
		byte(n),
		m.Type,
	)
	dst = binary.LittleEndian.AppendUint32(dst, m.StreamID)
	if extended {
		dst = binary.BigEndian.AppendUint32(dst, m.Timestamp)
	}

	part := min(chunkSize, n)
	dst = append(dst, m.Payload[:part]...)
	for rest := m.Payload[part:]; len(rest) > 0; rest = rest[part:] {
		dst = appendBasicHeader(dst, 3, m.ChunkStreamID)
		if extended {
			dst = binary.BigEndian.AppendUint32(dst, m.Timestamp)
		}
		part = min(chunkSize, len(rest))
		dst = append(dst, rest[:part]...)
	}
	return dst
}

// appendedSize is an upper bound, exact but for the size of the basic headers.
func appendedSize(m Message, chunkSize int) int {
	const basic, type0, extended = 3, 11, 4
	chunks := 1 + len(m.Payload)/chunkSize
	perChunk := basic
	if m.ChunkStreamID < 64 {
		perChunk = 1
	}
	if m.Timestamp >= extendedMark {
		perChunk += extended
	}
	return type0 + chunks*perChunk + len(m.Payload)
}

// appendBasicHeader appends the shortest of the three forms of 5.3.1.1.
func appendBasicHeader(dst []byte, format byte, id uint32) []byte {
	switch {
	case id < 64:
		return append(dst, format<<6|byte(id))
	case id < 64+256:
		return append(dst, format<<6, byte(id-64))
	default:
		return append(dst, format<<6|1, byte(id-64), byte((id-64)>>8))
	}
}
