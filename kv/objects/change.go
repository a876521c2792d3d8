package objects

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natscast/kv/bucket"
	"natscast/kv/objects/replica"
)

// change reads a message of the bucket or of its tail. Its revision is 0 when it is neither.
func (o *Objects) change(m *nats.Msg) replica.Change {
	c := replica.Change{Revision: revisionOf(m)}
	c.Key, _ = attributeKey(m)
	if c.Key != "" && !isRemoval(m) {
		// nil when malformed
		c.Value = o.bucket.Read(c.Key, m.Data, c.Revision, bucket.Stored[json.RawMessage]{}).Value
	}
	c.Before = number(m, jetstream.LastSequenceHeader)
	c.Version = uint32(min(number(m, versionHeader), math.MaxUint32))
	c.Clear = m.Header.Get(clearHeader) != ""
	c.Writer = m.Header.Get(writerHeader)
	if number, ok := strings.CutPrefix(c.Writer, o.writer+"/"); ok {
		c.Own, _ = strconv.ParseUint(number, 10, 64)
	}
	setGroup(&c, m)
	return c
}

// storedParts are the changes of messages of this node that are known to be stored.
func (o *Objects) storedParts(messages []*nats.Msg) (parts []replica.Change) {
	for _, m := range messages {
		if c := o.change(m); c.Revision > 0 {
			parts = append(parts, c)
		}
	}
	return parts
}

func attributeKey(m *nats.Msg) (key string, ok bool) {
	subject := m.Header.Get(jetstream.SubjectHeader)
	return keyOf(subject[strings.LastIndexByte(subject, '.')+1:])
}

// isRemoval says that a message of a bucket is the mark of a key that is gone.
func isRemoval(m *nats.Msg) bool {
	return len(m.Data) == 0 || m.Header.Get("KV-Operation") != "" ||
		m.Header.Get(jetstream.MarkerReasonHeader) != ""
}

// revisionOf is 0 for a message that is not known to be stored.
func revisionOf(m *nats.Msg) uint64 { return number(m, jetstream.SequenceHeader) }

// number is that of a header, 0 for none.
func number(m *nats.Msg, header string) uint64 {
	value := m.Header.Get(header)
	if value == "" {
		return 0 // without the error, which costs more than the rest
	}
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// setGroup tells what a message belongs to: parts are stored in order. A batch may be that of
// another client of NATS.
func setGroup(c *replica.Change, m *nats.Msg) {
	c.Last, c.End = true, c.Revision+1
	if part, parts, ok := strings.Cut(m.Header.Get(partHeader), "/"); ok {
		c.Group, c.Last = c.Writer, part == parts
		i, errPart := strconv.ParseUint(part, 10, 16)
		n, errParts := strconv.ParseUint(parts, 10, 16)
		if errPart == nil && errParts == nil && 0 < i && i <= n {
			c.Part, c.End = uint32(i), c.Revision+n-i
		}
		return
	}
	if id := m.Header.Get(batchIDHeader); id != "" && c.Writer == "" {
		c.Group, c.Last = id, m.Header.Get(batchCommitHeader) != ""
	}
}
