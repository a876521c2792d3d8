package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/testpattern"
)

// placed is an entry of the directory of streams, as any NATS client reads it.
type placed struct {
	Node  string `json:"node"`
	Shard string `json:"shard"`
	Epoch uint64 `json:"epoch"`
}

// entry returns the directory's entry of live/name; ok is false when there is none, or no answer.
func (s *natsServer) entry(t *testing.T, name string) (p placed, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	js := s.jetStream(t)
	bucket, err := js.KeyValue(ctx, "streams")
	if err != nil {
		return p, false
	}
	key, err := media.ParseName("live", name)
	if err != nil {
		t.Fatal(err)
	}
	e, err := bucket.Get(ctx, key.Subject())
	if err != nil {
		return p, false
	}
	if err := json.Unmarshal(e.Value(), &p); err != nil {
		t.Fatalf("%s: %v", e.Value(), err)
	}
	if p.Epoch == 0 {
		p.Epoch = e.Revision()
	}
	return p, true
}

// leader returns the name of the server that leads a JetStream stream, empty if none does.
func (s *natsServer) leader(t *testing.T, stream string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	info, err := s.jetStream(t).Stream(ctx, stream)
	if err != nil || info.CachedInfo().Cluster == nil {
		return ""
	}
	return info.CachedInfo().Cluster.Leader
}

// stepDown makes a server the leader of a replicated stream.
func (s *natsServer) stepDown(t *testing.T, stream, to string) {
	t.Helper()
	js := s.jetStream(t)
	request := fmt.Appendf(nil, `{"placement":{"preferred":%q}}`, to)
	eventually(t, patience, to+" leads "+stream, func() bool {
		switch s.leader(t, stream) {
		case to:
			return true
		case "":
			return false
		}
		if answer, err := js.Conn().Request("$JS.API.STREAM.LEADER.STEPDOWN."+stream, request, time.Second); err == nil {
			t.Logf("%s to %s: %s", stream, to, answer.Data)
		}
		return s.leader(t, stream) == to
	})
}

// metaLeader returns the name of the server that leads JetStream itself, empty if none does.
func (s *natsServer) metaLeader(t *testing.T) string {
	t.Helper()
	response, err := http.Get(s.monitor + "/jsz")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var jsz struct {
		Meta struct{ Leader string } `json:"meta_cluster"`
	}
	if err := json.NewDecoder(response.Body).Decode(&jsz); err != nil {
		t.Fatal(err)
	}
	return jsz.Meta.Leader
}

// history is what the shards have stored of a stream, by epoch.
type history map[uint64]*epochStored

// epochStored is what is stored of an epoch, ascending.
type epochStored struct {
	chunks   []uint64 // their sequences
	pictures []uint64 // of the test pattern
}

// stored reads everything that the shards have of live/name, where they have a leader.
func (s *natsServer) stored(t *testing.T, shards int, name string) history {
	t.Helper()
	key, err := media.ParseName("live", name)
	if err != nil {
		t.Fatal(err)
	}
	js := s.jetStream(t)
	h := history{}
	for shard := range shards {
		stream, err := js.Stream(t.Context(), fmt.Sprintf("LIVE_%d", shard))
		if err != nil {
			t.Logf("shard %d: %v", shard, err)
			continue
		}
		subjects := fmt.Sprintf("live.%d.%s.", shard, key.Subject())
		state := stream.CachedInfo().State
		for i := max(state.FirstSeq, 1); i <= state.LastSeq; i++ { // both are 0 in an empty stream
			m, err := stream.GetMsg(t.Context(), i)
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				continue
			} else if err != nil {
				t.Fatalf("message %d of shard %d: %v", i, shard, err)
			}
			if strings.HasPrefix(m.Subject, subjects) {
				h.add(t, m)
			}
		}
	}
	for _, e := range h {
		slices.Sort(e.chunks)
		slices.Sort(e.pictures)
	}
	return h
}

// add adds a message: a whole chunk, since those of the test pattern are small.
func (h history) add(t *testing.T, m *jetstream.RawStreamMsg) {
	t.Helper()
	epoch, seq := position(t, m.Header.Get(jetstream.MsgIDHeader))
	e := h[epoch]
	if e == nil {
		e = &epochStored{}
		h[epoch] = e
	}
	e.chunks = append(e.chunks, seq)
	for rest := m.Data; len(rest) > 0; {
		var f media.Frame
		var err error
		if f, rest, err = flv.Next(rest); err != nil {
			t.Fatal(err)
		}
		if mark, ok := testpattern.ParseMark(f.Payload); ok && f.Kind == media.Video {
			e.pictures = append(e.pictures, mark.Frame)
		}
	}
}

// gaps tells of holes: in each epoch, and from one to the next.
func (h history) gaps() (found []string) {
	var pictures []uint64
	for _, epoch := range slices.Sorted(maps.Keys(h)) {
		e := h[epoch]
		if e.chunks[0] != 1 || holes(e.chunks) != 0 {
			found = append(found, fmt.Sprintf("of epoch %d, %d chunks are missing behind chunk %d",
				epoch, holes(e.chunks), e.chunks[0]))
		}
		pictures = append(pictures, e.pictures...)
	}
	if len(pictures) == 0 {
		return append(found, "nothing is stored")
	}
	if n := holes(pictures); n != 0 {
		found = append(found, fmt.Sprintf("%d pictures are missing from %d to %d",
			n, pictures[0], pictures[len(pictures)-1]))
	}
	return found
}

// holes is how many numbers are missing between the first and the last one; negative if some
// come twice.
func holes(numbers []uint64) int {
	return int(numbers[len(numbers)-1]-numbers[0]) + 1 - len(numbers)
}

// position reads an id: "<epoch>.<seq>".
func position(t *testing.T, id string) (epoch, seq uint64) {
	t.Helper()
	if _, err := fmt.Sscanf(id, "%d.%d", &epoch, &seq); err != nil {
		t.Fatalf("message id %q: %v", id, err)
	}
	return epoch, seq
}
