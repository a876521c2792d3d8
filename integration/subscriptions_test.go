package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// An edge subscribes to what its players watch, once, whoever publishes what.
func TestSubscriptions(t *testing.T) {
	t.Parallel()
	const streams, viewers = 50, 20
	c := startCluster(t)
	start(t, binary(), "publish", "--copies", fmt.Sprint(streams), "--bitrate", "100000", "--fps", "10", c.origin.url("many-{n}"))
	js := c.nats.jetStream(t)
	eventually(t, patience, "all streams published", func() bool { return len(directory(t, js)) == streams })

	live := func() []string { return c.nats.liveSubscriptions(t, "natscast edge ") }
	if s := live(); len(s) != 0 {
		t.Errorf("nobody watches, and the edge is subscribed to %q", s)
	}
	watching := start(t, binary(), "play", "--players", fmt.Sprint(viewers), "--duration", "6s", "--json", c.edge.url("many-7"))
	eventually(t, patience, "a subscription", func() bool { return len(live()) > 0 })
	most := 0
	eventually(t, patience, "the end of the players", func() bool {
		most = max(most, len(live()))
		return !watching.running()
	})
	if most != 1 {
		t.Errorf("%d subscriptions for %d players of one stream", most, viewers)
	}
	watching.succeed(patience)
	if r := readReport(t, watching); r.Gaps != 0 || r.VideoFrames < viewers*10*2 {
		t.Errorf("%+v", r)
	}
	gone := time.Now()
	eventually(t, patience, "no subscription again", func() bool { return len(live()) == 0 })
	t.Logf("unsubscribed %v after the last player", time.Since(gone).Round(100*time.Millisecond))
}

// jetStream returns a connection to the server's JetStream.
func (s *natsServer) jetStream(t *testing.T) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(s.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// directory returns the keys of the directory of streams.
func directory(t *testing.T, js jetstream.JetStream) (keys []string) {
	t.Helper()
	bucket, err := js.KeyValue(t.Context(), "streams")
	if err != nil {
		t.Fatal(err)
	}
	list, err := bucket.ListKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for key := range list.Keys() {
		keys = append(keys, key)
	}
	return keys
}

// liveSubscriptions returns the subscriptions to live media, by the server's own account, of the
// connections whose name begins with prefix.
func (s *natsServer) liveSubscriptions(t *testing.T, prefix string) (subjects []string) {
	t.Helper()
	response, err := http.Get(s.monitor + "/connz?subs=detail&limit=1000")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var connz struct {
		Connections []struct {
			Name          string
			Subscriptions []struct{ Subject string } `json:"subscriptions_list_detail"`
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&connz); err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, c := range connz.Connections {
		if !strings.HasPrefix(c.Name, prefix) {
			continue
		}
		named++
		for _, sub := range c.Subscriptions {
			if strings.HasPrefix(sub.Subject, "live.") {
				subjects = append(subjects, sub.Subject)
			}
		}
	}
	if named == 0 {
		t.Fatalf("no connection of %q", prefix)
	}
	return subjects
}
