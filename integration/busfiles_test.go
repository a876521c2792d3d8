package integration

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// A reader that knows docs/bus-format.md alone reads all segments of a file.
func TestBusFormatFiles(t *testing.T) {
	t.Parallel()
	server := startNATS(t)
	dir := t.TempDir()
	cookFilm(t, dir, "film.flv", "5")
	startLibrary(t, server, "library", dir)
	awaitFiles(t, server, 1, "film.flv")
	nc := connectPlain(t, server.url)

	var asset struct {
		Name, ID       string
		Duration, Size int
		Starts, Sizes  []int
		Tails          []int
		Video          string
	}
	answer, err := nc.Request("asset.find.vod.film=2Eflv", nil, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(answer.Data, &asset); err != nil {
		t.Fatalf("%s: %v", answer.Data, err)
	}
	if asset.Name != "vod/film.flv" || asset.ID == "" || len(asset.Starts) != 5 || asset.Starts[1] != 1000 ||
		len(asset.Sizes) != 5 || len(asset.Tails) != 0 || asset.Size == 0 || !strings.HasPrefix(asset.Video, "avc1") {
		t.Errorf("%s", answer.Data)
	}
	for n := range asset.Starts {
		answer, err := nc.Request("asset.read."+asset.ID, []byte(strconv.Itoa(n)), 5*time.Second)
		if err != nil || len(answer.Data) > 0 {
			t.Fatalf("segment %d: %v, %q", n, err, answer.Data)
		}
		segment, headers := readSegment(t, nc, "static."+asset.ID+"."+strconv.Itoa(n)+".*")
		if headers <= 0 || headers >= len(segment) || segment[headers] != flvVideo || segment[headers+11]>>4 != 1 {
			t.Errorf("segment %d of %d bytes has no keyframe behind %d bytes of headers", n, len(segment), headers)
		}
	}
	if answer, err := nc.Request("asset.read."+asset.ID, []byte("5"), 5*time.Second); err != nil || len(answer.Data) == 0 {
		t.Errorf("a segment that is not there: %v", err)
	}
}

// readSegment asks the cache for the parts of a segment and puts them together.
func readSegment(t *testing.T, nc *nats.Conn, parts string) (segment []byte, headers int) {
	t.Helper()
	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answers.Unsubscribe() }()
	if err := nc.PublishRequest("$JS.API.DIRECT.GET.STATIC", inbox, []byte(`{"multi_last":["`+parts+`"]}`)); err != nil {
		t.Fatal(err)
	}
	found := map[int][]byte{}
	for {
		m, err := answers.NextMsg(5 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Get("Status") == "204" {
			break
		}
		part, of, _ := strings.Cut(m.Header.Get("Natscast-Part"), "/")
		i, err := strconv.Atoi(part)
		if err != nil || m.Subject == "" || of == "" {
			t.Fatalf("part %q of %q: %v", part, of, m.Header)
		}
		found[i] = m.Data
		if h := m.Header.Get("Natscast-Headers"); h != "" {
			if headers, err = strconv.Atoi(h); err != nil || i != 1 {
				t.Errorf("headers %q on part %d", h, i)
			}
		}
	}
	for i, n := range slices.Sorted(maps.Keys(found)) {
		if n != i+1 {
			t.Fatalf("part %d is missing", i+1)
		}
		segment = append(segment, found[n]...)
	}
	return segment, headers
}
