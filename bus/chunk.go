package bus

import (
	"cmp"
	"strconv"
)

// Position of a chunk in its stream. Positions are ordered by epoch, then by
// sequence.
type Position struct {
	// Epoch is one publish session; a higher one supersedes a lower one.
	Epoch uint64
	// Seq counts the chunks of an epoch from 1.
	Seq uint64
}

func (p Position) String() string {
	return strconv.FormatUint(p.Epoch, 10) + "." + strconv.FormatUint(p.Seq, 10)
}

// Compare orders positions: it is negative when p comes before q.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Epoch, q.Epoch), cmp.Compare(p.Seq, q.Seq))
}

// Less says whether p comes before q.
func (p Position) Less(q Position) bool { return p.Compare(q) < 0 }

// Chunk is what one bus message carries: consecutive frames of one stream.
type Chunk struct {
	Position
	// Shard whose store has the chunk.
	Shard string
	// Key says that the chunk begins a GOP; its payload starts with the codec
	// headers.
	Key bool
	// End says that the publisher has ended the epoch; there is no payload.
	End bool
	// Headers is how many leading bytes of the payload are codec headers,
	// 0 unless Key.
	Headers int
	// DTS of the first frame behind the headers, in milliseconds.
	DTS uint32
	// Payload is FLV tags. It is immutable.
	Payload []byte
	// Lost is how many chunks of this epoch are missing just before this one.
	// A [Subscription] sets it.
	Lost uint64

	// stored is a sequence of the shard's JetStream stream below the chunk's
	// own.
	stored uint64
}
