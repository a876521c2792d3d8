package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natscast/internal/media"
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

// history is what the shards have stored of a stream: the sequences of each epoch, ascending.
type history map[uint64][]uint64

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
		for i := state.FirstSeq; i <= state.LastSeq; i++ {
			m, err := stream.GetMsg(t.Context(), i)
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				continue
			} else if err != nil {
				t.Fatalf("message %d of shard %d: %v", i, shard, err)
			}
			if strings.HasPrefix(m.Subject, subjects) {
				epoch, seq := position(t, m.Header.Get(jetstream.MsgIDHeader))
				h[epoch] = append(h[epoch], seq)
			}
		}
	}
	for epoch, seqs := range h {
		slices.Sort(seqs)
		h[epoch] = slices.Compact(seqs) // a chunk may have parts
	}
	return h
}

// check looks for holes.
func (h history) check(t *testing.T) {
	t.Helper()
	for epoch, seqs := range h {
		first, last := seqs[0], seqs[len(seqs)-1]
		t.Logf("epoch %d: %d chunks are stored, from %d to %d", epoch, len(seqs), first, last)
		if first != 1 || last != uint64(len(seqs)) {
			t.Errorf("epoch %d has holes", epoch)
		}
	}
	if len(h) == 0 {
		t.Error("nothing is stored")
	}
}

// position reads an id: "<epoch>.<seq>", and ".<part>" where a chunk has parts.
func position(t *testing.T, id string) (epoch, seq uint64) {
	t.Helper()
	fields := strings.Split(id, ".")
	if len(fields) < 2 {
		t.Fatalf("message id %q", id)
	}
	epoch, err := strconv.ParseUint(fields[0], 10, 64)
	if err != nil {
		t.Fatalf("message id %q: %v", id, err)
	}
	if seq, err = strconv.ParseUint(fields[1], 10, 64); err != nil {
		t.Fatalf("message id %q: %v", id, err)
	}
	return epoch, seq
}
