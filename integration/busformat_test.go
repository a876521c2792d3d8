package integration

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natscast/internal/media"
	"natscast/internal/rtmp/client"
)

// The tests of this file follow docs/bus-format.md alone where they speak NATS.

// tag makes an FLV tag with its PreviousTagSize.
func tag(kind byte, dts uint32, body string) []byte {
	n := len(body)
	b := []byte{
		kind, byte(n >> 16), byte(n >> 8), byte(n),
		byte(dts >> 16), byte(dts >> 8), byte(dts), byte(dts >> 24), 0, 0, 0,
	}
	b = append(b, body...)
	size := 11 + n
	return append(b, byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
}

const (
	flvAudio, flvVideo = 8, 9
	avcHeader          = "\x17\x00\x00\x00\x00config"
	avcKey             = "\x17\x01\x00\x00\x00key"
	avcInter           = "\x27\x01\x00\x00\x00inter"
)

// connectPlain connects with nothing of natscast.
func connectPlain(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// latest reads the newest message of a subject from a stream, by a direct get; with a wildcard,
// the oldest.
func latest(t *testing.T, nc *nats.Conn, stream, subject string) (m *nats.Msg, ok bool) {
	t.Helper()
	what := map[string]any{"last_by_subj": subject}
	if strings.Contains(subject, "*") {
		what = map[string]any{"next_by_subj": subject, "seq": 1}
	}
	request, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	m, err = nc.Request("$JS.API.DIRECT.GET."+stream, request, 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return m, m.Header.Get("Status") == ""
}

// A reader that knows the page alone reads what a node publishes.
func TestBusFormatRead(t *testing.T) {
	t.Parallel()
	url := startNATS(t).url
	n := startNode(t, "edge", "--nats", url, "--id", "first")
	nc := connectPlain(t, url)
	tail, err := nc.SubscribeSync("live.*.live.=C3=84=20b.*")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	pub, err := client.Dial(t.Context(), "rtmp://"+n.ready.Nodes[0].RTMP+"/live/Ä b")
	if err != nil {
		t.Fatal(err)
	}
	defer pub.Close()
	if err := pub.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, f := range []media.Frame{
		media.NewFrame(media.Video, 1000, []byte(avcHeader)),
		media.NewFrame(media.Video, 1000, []byte(avcKey)),
		media.NewFrame(media.Video, 1040, []byte(avcInter)),
	} {
		if err := pub.Write(f); err != nil {
			t.Fatal(err)
		}
	}
	next := func() *nats.Msg {
		t.Helper()
		m, err := tail.NextMsg(20 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	key, delta := next(), next()
	shard := strings.Split(key.Subject, ".")[1]
	header := tag(flvVideo, 1000, avcHeader)
	epoch, seq, ok := strings.Cut(key.Header.Get("Nats-Msg-Id"), ".")
	if !ok || seq != "1" || key.Subject != "live."+shard+".live.=C3=84=20b.key" ||
		key.Header.Get("Natscast-Dts") != "1000" ||
		key.Header.Get("Natscast-Headers") != strconv.Itoa(len(header)) ||
		!slices.Equal(key.Data, append(header, tag(flvVideo, 1000, avcKey)...)) {
		t.Errorf("the first chunk: %s %v %q", key.Subject, key.Header, key.Data)
	}
	if delta.Subject != "live."+shard+".live.=C3=84=20b.delta" || delta.Header.Get("Nats-Msg-Id") != epoch+".2" ||
		delta.Header.Get("Natscast-Dts") != "1040" || !slices.Equal(delta.Data, tag(flvVideo, 1040, avcInter)) {
		t.Errorf("the second chunk: %s %v %q", delta.Subject, delta.Header, delta.Data)
	}
	eventually(t, 20*time.Second, "the store has the key chunk", func() bool {
		m, ok := latest(t, nc, "LIVE_"+shard, key.Subject)
		return ok && slices.Equal(m.Data, key.Data)
	})
	checkBuckets(t, nc, shard, epoch)
	if err := pub.Close(); err != nil {
		t.Fatal(err)
	}
	end := next()
	if end.Header.Get("Natscast-End") != "unpublished" || len(end.Data) > 0 || end.Header.Get("Nats-Msg-Id") != epoch+".3" {
		t.Errorf("the end: %s %v %q", end.Subject, end.Header, end.Data)
	}
}

// checkBuckets reads an entry of the buckets that a publisher leaves.
func checkBuckets(t *testing.T, nc *nats.Conn, shard, epoch string) {
	t.Helper()
	entry, ok := latest(t, nc, "KV_streams", "$KV.streams.live.=C3=84=20b")
	var stream struct {
		Name, Kind, Node, Shard string
		Epoch                   uint64
		Since                   time.Time
	}
	if err := json.Unmarshal(entry.Data, &stream); err != nil || !ok {
		t.Fatalf("%s: %v", entry.Data, err)
	}
	if stream.Epoch == 0 { // then it is the revision
		stream.Epoch, _ = strconv.ParseUint(entry.Header.Get("Nats-Sequence"), 10, 64)
	}
	if stream.Name != "live/Ä b" || stream.Kind != "live" || stream.Node != "first" || stream.Shard != shard ||
		strconv.FormatUint(stream.Epoch, 10) != epoch || stream.Since.IsZero() {
		t.Errorf("streams: %s, epoch %s", entry.Data, epoch)
	}
	entry, ok = latest(t, nc, "KV_nodes", "$KV.nodes.first")
	var node struct {
		ID, RTMP    string
		Incarnation uint64
	}
	if err := json.Unmarshal(entry.Data, &node); err != nil || !ok || node.ID != "first" || node.RTMP == "" {
		t.Fatalf("nodes: %s: %v", entry.Data, err)
	}
	if node.Incarnation == 0 { // then it is the revision
		node.Incarnation, _ = strconv.ParseUint(entry.Header.Get("Nats-Sequence"), 10, 64)
	}
	prefix := "first." + strconv.FormatUint(node.Incarnation, 10) + "."
	eventually(t, 20*time.Second, "the publisher is among the connections", func() bool {
		m, ok := latest(t, nc, "KV_connections", "$KV.connections."+prefix+"*")
		var c struct{ Node, App, Stream, Role string }
		return ok && json.Unmarshal(m.Data, &c) == nil && c.Node == "first" && c.App == "live" &&
			c.Stream == "live/Ä b" && c.Role == "publish"
	})
}

// A publisher that knows the page alone is played by a node.
func TestBusFormatWrite(t *testing.T) {
	t.Parallel()
	url := startNATS(t).url
	n := startNode(t, "edge", "--nats", url)
	nc := connectPlain(t, url)

	const stream, shard = "live.alien", "0"
	lease := nats.NewMsg("$KV.streams." + stream)
	lease.Header.Set("Nats-Expected-Last-Subject-Sequence", "0")
	lease.Header.Set("Nats-TTL", "60s")
	lease.Data = []byte(`{"name":"live/alien","kind":"live","node":"alien","shard":"` + shard +
		`","since":"` + time.Now().UTC().Format(time.RFC3339) + `"}`)
	answer, err := nc.RequestMsg(lease, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var ack struct{ Seq uint64 }
	if err := json.Unmarshal(answer.Data, &ack); err != nil || ack.Seq == 0 {
		t.Fatalf("%s: %v", answer.Data, err)
	}
	seq := 0
	publish := func(kind string, dts uint32, headers int, payload ...[]byte) {
		t.Helper()
		seq++
		m := nats.NewMsg("live." + shard + "." + stream + "." + kind)
		m.Header.Set("Nats-Msg-Id", strconv.FormatUint(ack.Seq, 10)+"."+strconv.Itoa(seq))
		m.Header.Set("Natscast-Dts", strconv.FormatUint(uint64(dts), 10))
		if headers > 0 {
			m.Header.Set("Natscast-Headers", strconv.Itoa(headers))
		}
		m.Data = slices.Concat(payload...)
		if len(payload) == 0 {
			m.Header.Set("Natscast-End", "unpublished")
		}
		if answer, err := nc.RequestMsg(m, 5*time.Second); err != nil || strings.Contains(string(answer.Data), `"error"`) {
			t.Fatalf("not stored: %v, %v", answer, err)
		}
	}
	header := tag(flvVideo, 0, avcHeader)
	publish("key", 0, len(header), header, tag(flvVideo, 0, avcKey))
	publish("delta", 40, 0, tag(flvAudio, 30, "\xaf\x01sound"), tag(flvVideo, 40, avcInter))

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	player, err := client.Dial(ctx, "rtmp://"+n.ready.Nodes[0].RTMP+"/live/alien")
	if err != nil {
		t.Fatal(err)
	}
	defer player.Close()
	if err := player.Play(ctx, -2); err != nil {
		t.Fatal(err)
	}
	expect := func(bodies ...string) {
		t.Helper()
		for _, want := range bodies {
			f, err := player.Read()
			for err == nil && f.Kind == media.Data {
				f, err = player.Read()
			}
			if err != nil || string(f.Payload) != want {
				t.Fatalf("got %q at %d, %v; want %q", f.Payload, f.DTS, err, want)
			}
		}
	}
	expect(avcHeader, avcKey, "\xaf\x01sound", avcInter) // from the store
	publish("delta", 80, 0, tag(flvVideo, 80, avcInter))
	expect(avcInter) // from the tail
	publish("delta", 80, 0)
	if f, err := player.Read(); err == nil {
		t.Errorf("after the end: %v", f)
	}
}
