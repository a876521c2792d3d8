package static

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natscast/bus/direct"
	"natscast/internal/media"
	"natscast/internal/mediainfo"
	"natscast/internal/pause"
)

// Errors of static streams.
var (
	// ErrNoAsset says that no origin offers the stream, or the content, any more.
	ErrNoAsset = errors.New("no origin has it")
	// ErrSegment is wrapped by the errors of an origin that cannot read a segment.
	ErrSegment = errors.New("the origin cannot read the segment")
)

// streamName is the JetStream stream with segments: the cluster's cache of what is watched.
const streamName = "STATIC"

const (
	// maxPart is the most of a segment that one message carries.
	maxPart = 256 << 10
	// segmentTries is how often an origin is asked for a segment, each another one perhaps, and
	// segmentTimeout is what one gets.
	segmentTries   = 4
	segmentTimeout = 3 * time.Second
	// segmentPause is before an origin is asked a second time for what it has answered without
	// storing it: it had no room for the request. It doubles with each further time.
	segmentPause = 100 * time.Millisecond
	// findTimeout is how long one origin may take to say what it has, and findPause is before the
	// next one is asked.
	findTimeout = 500 * time.Millisecond
	findPause   = 10 * time.Millisecond
	findLimit   = 2 * time.Second // of all
	// maxParts is the most messages of one segment.
	maxParts = 1024
)

// Headers of a part.
const (
	headerPart    = "Natscast-Part"    // "i/n"
	headerHeaders = "Natscast-Headers" // of the first one: how many bytes are codec headers
)

// errMalformed says that a part is not as the format has it.
var errMalformed = errors.New("malformed segment")

// Asset is a static stream: a file at origins, cut into segments.
type Asset struct {
	Name media.Name `json:"name"`
	// ID is that of the content, in hexadecimal digits: equal files have equal ones.
	ID       string    `json:"id"`
	Duration uint32    `json:"duration"` // ms
	Size     int64     `json:"size"`     // bytes of the file
	Modified time.Time `json:"modified"`
	mediainfo.Info
	// Starts are the times in ms at which the segments begin, and Sizes about their bytes.
	Starts []uint32 `json:"starts"`
	Sizes  []uint32 `json:"sizes"`
	// Tails are the segments, by their index, that do not begin with a keyframe.
	Tails []int `json:"tails,omitempty"`
}

// Segment is a part of a static stream, which a player can begin with: what a key chunk is to a
// live one.
type Segment struct {
	// Payload is FLV tags, the codec headers first. It is immutable.
	Payload []byte
	// Headers is how many leading bytes are codec headers.
	Headers int
}

func findSubject(name media.Name) string     { return "asset.find." + name.Subject() }
func readSubject(asset string) string        { return "asset.read." + asset }
func segmentSubject(id string, n int) string { return "static." + id + "." + strconv.Itoa(n) }

// Find asks the origins for a static stream. It fails with [ErrNoAsset] when none has it.
func (s *Store) Find(ctx context.Context, name media.Name) (Asset, error) {
	ctx, cancel := context.WithTimeout(ctx, findLimit)
	defer cancel()
	answer, err := s.request(ctx, findTimeout, findSubject(name), nil)
	for ctx.Err() == nil && (errors.Is(err, context.DeadlineExceeded) || err == nil && len(answer.Data) == 0) {
		pause.Sleep(ctx, findPause)
		answer, err = s.request(ctx, findTimeout, findSubject(name), nil)
	}
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return Asset{}, fmt.Errorf("%w: %s", ErrNoAsset, name)
	case err != nil:
		return Asset{}, fmt.Errorf("find %s: %w", name, err)
	}
	var a Asset
	if err := json.Unmarshal(answer.Data, &a); err != nil {
		return Asset{}, fmt.Errorf("find %s: %w", name, err)
	}
	if a.ID == "" || strings.ContainsAny(a.ID, ".*> ") || len(a.Starts) == 0 ||
		len(a.Sizes) != len(a.Starts) {
		return Asset{}, fmt.Errorf(
			"find %s: an answer with %d segments, %d sizes and id %q",
			name,
			len(a.Starts),
			len(a.Sizes),
			a.ID,
		)
	}
	return a, nil
}

// Segment reads a segment, counted from 0: from the store, and when that does not have it, it
// has an origin put it there. It fails with [ErrNoAsset] when none has the content. A caller bounds
// the bytes that it reads at once: what a server keeps for a client, 64 MB as a rule, is bounded
// too.
func (s *Store) Segment(ctx context.Context, asset string, n int) (Segment, error) {
	var asked error
	for try := 0; ; try++ {
		if try > 1 && errors.Is(asked, errNotHeard) {
			pause.Sleep(ctx, segmentPause<<(try-2))
		}
		segment, err := s.stored(ctx, asset, n)
		switch {
		case err == nil:
			return segment, nil
		case try == segmentTries:
			if errors.Is(asked, errNotHeard) {
				asked = nil
			}
			return segment, wrapSegment(cmp.Or(asked, err), asset, n)
		}
		if segment, asked = s.ask(ctx, asset, n); asked == nil {
			return segment, nil
		}
		if errors.Is(asked, ErrNoAsset) || ctx.Err() != nil ||
			errors.Is(asked, ErrSegment) && try == segmentTries-1 {
			return segment, wrapSegment(asked, asset, n)
		}
	}
}

func wrapSegment(err error, asset string, n int) error {
	return fmt.Errorf("segment %d of asset %s: %w", n, asset, err)
}

// stored reads all parts of a segment. It fails with [direct.ErrNotStored] unless they are all
// there.
func (s *Store) stored(ctx context.Context, asset string, n int) (Segment, error) {
	page, err := direct.LastOf(ctx, s.conn, streamName, segmentSubject(asset, n)+".*")
	if err != nil {
		return Segment{}, err
	}
	return joinSegment(page)
}

// joinSegment puts the parts of a segment together, in whatever order they come.
func joinSegment(page []direct.Message) (s Segment, err error) {
	parts := make([][]byte, len(page))
	size := 0
	for _, m := range page {
		index, count, _ := strings.Cut(m.Header.Get(headerPart), "/")
		i, errIndex := strconv.Atoi(index)
		n, errCount := strconv.Atoi(count)
		if errIndex != nil || errCount != nil || i < 1 || i > n || n > maxParts {
			return s, fmt.Errorf("%w: part %q of a segment", errMalformed, m.Header.Get(headerPart))
		}
		if n != len(page) || parts[i-1] != nil {
			return s, direct.ErrNotStored // others have gone, or are yet to come
		}
		if parts[i-1] = m.Data; i == 1 {
			if s.Headers, err = strconv.Atoi(m.Header.Get(headerHeaders)); err != nil {
				return s, fmt.Errorf("%w: codec headers of a segment: %w", errMalformed, err)
			}
		}
		size += len(m.Data)
	}
	if s.Headers < 0 || s.Headers > size {
		return s, fmt.Errorf(
			"%w: %d bytes of codec headers in a segment of %d",
			errMalformed,
			s.Headers,
			size,
		)
	}
	if len(parts) == 1 {
		s.Payload = parts[0]
		return s, nil
	}
	s.Payload = make([]byte, 0, size)
	for _, p := range parts {
		s.Payload = append(s.Payload, p...)
	}
	return s, nil
}

// errNotHeard says that an origin has stored a segment, and that not all of it came here meanwhile.
var errNotHeard = errors.New("the segment was stored")

// hearTimeout is how long the parts of a segment may be on their way when its origin has answered.
// They travel beside the answer, so most often they are there.
const hearTimeout = 20 * time.Millisecond

// ask asks an origin for a segment, and hears its parts as they are stored: that saves a
// question to the store. The error is [errNotHeard] when the store is to be asked.
func (s *Store) ask(ctx context.Context, asset string, n int) (Segment, error) {
	parts, err := s.conn.SubscribeSync(segmentSubject(asset, n) + ".*")
	if err != nil {
		return Segment{}, err
	}
	// Its error says that the connection was closed, and the subscription with it.
	defer func() { _ = parts.Unsubscribe() }()
	answer, err := s.request(ctx, segmentTimeout, readSubject(asset), []byte(strconv.Itoa(n)))
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return Segment{}, ErrNoAsset
	case err != nil:
		return Segment{}, err
	case len(answer.Data) > 0:
		return Segment{}, fmt.Errorf("%w: %s", ErrSegment, answer.Data)
	}
	return hearSegment(parts)
}

// hearSegment puts together what has been heard of a segment. Two origins may have stored it.
func hearSegment(parts *nats.Subscription) (Segment, error) {
	heard := map[string]direct.Message{}
	for {
		m, err := parts.NextMsg(hearTimeout)
		if err != nil {
			return Segment{}, errNotHeard
		}
		heard[m.Header.Get(headerPart)] = direct.Message{Msg: m}
		s, err := joinSegment(slices.Collect(maps.Values(heard)))
		if !errors.Is(err, direct.ErrNotStored) {
			return s, err
		}
	}
}

func (s *Store) request(
	ctx context.Context,
	timeout time.Duration,
	subject string,
	body []byte,
) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return s.conn.RequestWithContext(ctx, subject, body)
}

// StreamConfig is that of the cache of segments. A segment that is stored again replaces what is
// left of it.
func (s *Store) StreamConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              streamName,
		Description:       "natscast: segments of static streams",
		Subjects:          []string{"static.>"},
		Storage:           s.options.Storage,
		Replicas:          1, // a cache: the origins have the files
		MaxAge:            s.options.Age,
		MaxBytes:          s.options.Bytes,
		MaxMsgsPerSubject: 1,
		Discard:           jetstream.DiscardOld,
		AllowDirect:       true,
	}
}
