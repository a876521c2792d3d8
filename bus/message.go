package bus

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"natscast/internal/media"
)

// Headers of a message. Position and duplicate removal share the first one:
// "<epoch>.<seq>", with ".<part>" behind it for the parts after the first.
const (
	headerID      = nats.MsgIdHdr
	headerDTS     = "Natscast-Dts"
	headerHeaders = "Natscast-Headers"
	headerPart    = "Natscast-Part" // "i/n", only where n > 1
	headerEnd     = "Natscast-End"
	headerStored  = "Natscast-Stored"

	endUnpublished = "unpublished"
)

// Limits of what a reader accepts.
const (
	maxChunk = 16 << 20
	maxParts = 1024
)

// errMessage is wrapped by every error of [decode].
var errMessage = errors.New("malformed message")

// part is what one message carries: a chunk, or the part number index of count
// parts. The payload is the part's own. Only the first part knows Key, End,
// Headers and DTS.
type part struct {
	Chunk
	index, count int // index from 1
}

func liveSubject(shard string, name media.Name) string {
	return "live." + shard + "." + name.Subject()
}

func refillSubject(shard string, name media.Name) string {
	return "refill." + shard + "." + name.Subject()
}

// resendSubject is where the publisher of an epoch is asked to send chunks again.
func resendSubject(shard string, name media.Name, epoch uint64) string {
	return "resend." + shard + "." + name.Subject() + "." + strconv.FormatUint(epoch, 10)
}

// subjects of a stream's messages.
type subjects struct {
	key, delta string
}

func subjectsOf(stream string) subjects {
	return subjects{key: stream + ".key", delta: stream + ".delta"}
}

func (s *subjects) of(p *part) string {
	if p.Key {
		return s.key
	}
	return s.delta
}

// encode writes the headers of a message into h, which may hold those of
// another one.
func encode(h nats.Header, p *part) {
	id := p.Position.String()
	if p.index > 1 {
		id += "." + strconv.Itoa(p.index)
	}
	put(h, headerID, id)
	put(h, headerDTS, strconv.FormatUint(uint64(p.DTS), 10))
	putIf(h, p.stored > 0, headerStored, strconv.FormatUint(p.stored, 10))
	putIf(h, p.Headers > 0, headerHeaders, strconv.Itoa(p.Headers))
	putIf(h, p.End, headerEnd, endUnpublished)
	if p.count > 1 {
		put(h, headerPart, strconv.Itoa(p.index)+"/"+strconv.Itoa(p.count))
		return
	}
	delete(h, headerPart)
}

func put(h nats.Header, key, value string) {
	if v := h[key]; len(v) == 1 {
		v[0] = value
		return
	}
	h[key] = []string{value}
}

func putIf(h nats.Header, is bool, key, value string) {
	if !is {
		delete(h, key)
		return
	}
	put(h, key, value)
}

// decode reads a message that was published on subject. The payload is data.
func decode(subject string, h nats.Header, data []byte) (p part, err error) {
	d := decoder{h: h}
	p.Payload = data
	p.Shard, p.Key = d.subject(subject)
	p.index, p.count = d.part()
	p.Position = d.position(p.index)
	p.stored = d.number(headerStored, 64)
	p.DTS = uint32(d.number(headerDTS, 32))
	p.Headers = int(d.number(headerHeaders, 31))
	p.End = h.Get(headerEnd) != ""
	switch {
	case d.err != nil:
		return part{}, d.err
	case len(data) > maxChunk:
		return part{}, fmt.Errorf("%w: %d bytes", errMessage, len(data))
	case p.End && (p.Key || p.count > 1 || len(data) > 0):
		return part{}, fmt.Errorf("%w: an end with a payload", errMessage)
	case p.Headers > 0 && !p.Key:
		return part{}, fmt.Errorf("%w: codec headers outside of a key chunk", errMessage)
	case p.index > 1 && p.Key:
		return part{}, fmt.Errorf("%w: part %d on a key subject", errMessage, p.index)
	case p.count == 1 && p.Headers > len(data):
		return part{}, fmt.Errorf(
			"%w: %d bytes of codec headers in %d",
			errMessage,
			p.Headers,
			len(data),
		)
	}
	return p, nil
}

// decoder reads fields and remembers the first error.
type decoder struct {
	h   nats.Header
	err error
}

func (d *decoder) fail(format string, v ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: "+format, append([]any{errMessage}, v...)...)
	}
}

// subject reads "live.<shard>.<tokens>.<key|delta>".
func (d *decoder) subject(subject string) (shard string, key bool) {
	rest, live := strings.CutPrefix(subject, "live.")
	shard, rest, _ = strings.Cut(rest, ".")
	i := strings.LastIndexByte(rest, '.')
	if !live || shard == "" || i < 1 {
		d.fail("subject %q", subject)
		return "", false
	}
	switch rest[i:] {
	case ".key":
		return shard, true
	case ".delta":
		return shard, false
	}
	d.fail("subject %q", subject)
	return "", false
}

func (d *decoder) part() (index, count int) {
	value := d.h.Get(headerPart)
	if value == "" {
		return 1, 1
	}
	i, n, _ := strings.Cut(value, "/")
	index, errIndex := strconv.Atoi(i)
	count, errCount := strconv.Atoi(n)
	if errIndex != nil || errCount != nil || index < 1 || count < 2 || index > count ||
		count > maxParts {
		d.fail("part %q", value)
		return 1, 1
	}
	return index, count
}

func (d *decoder) position(index int) (p Position) {
	id := d.h.Get(headerID)
	epoch, rest, _ := strings.Cut(id, ".")
	seq, suffix, parted := strings.Cut(rest, ".")
	p.Epoch = d.parse(headerID, epoch, 64)
	p.Seq = d.parse(headerID, seq, 64)
	if p.Epoch == 0 || p.Seq == 0 || parted != (index > 1) ||
		parted && suffix != strconv.Itoa(index) {
		d.fail("%s %q", headerID, id)
	}
	return p
}

// number reads an optional field.
func (d *decoder) number(key string, bits int) uint64 {
	value := d.h.Get(key)
	if value == "" {
		return 0
	}
	return d.parse(key, value, bits)
}

func (d *decoder) parse(key, value string, bits int) uint64 {
	n, err := strconv.ParseUint(value, 10, bits)
	if err != nil {
		d.fail("%s %q", key, value)
	}
	return n
}
