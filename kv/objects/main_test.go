package objects

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"natscast/internal/eventually"
	"natscast/internal/media"
	"natscast/kv/bucket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testConfig is the stream below the bucket.
var testConfig = jetstream.StreamConfig{
	Name:              "KV_" + Bucket,
	Subjects:          []string{"$KV." + Bucket + ".>"},
	MaxMsgsPerSubject: 1,
	AllowRollup:       true, DenyDelete: true, AllowDirect: true, AllowMsgTTL: true,
	AllowAtomicPublish:     true,
	Duplicates:             DedupeWindow,
	SubjectDeleteMarkerTTL: bucket.MarkerTTL,
	RePublish: &jetstream.RePublish{
		Source: "$KV." + Bucket + ".>", Destination: bucket.TailSubject(Bucket),
	},
}

// openTest opens the objects of a server of the test's own.
func openTest(t *testing.T) *Objects {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		DontListen: true, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server is not ready")
	}
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), testConfig); err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), Bucket)
	if err != nil {
		t.Fatal(err)
	}
	o, err := Open(t.Context(), nc, kv, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// listener is an audience that writes down what it is told.
type listener struct {
	t *testing.T

	mu    sync.Mutex
	heard []string
}

func follow(t *testing.T, o *Objects, name media.Name, wants Persistence) *listener {
	t.Helper()
	l := &listener{t: t}
	t.Cleanup(o.Follow(name, wants, l).Stop)
	return l
}

func (l *listener) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = append(l.heard, fmt.Sprintf(format, args...))
}

func (l *listener) Opened(s *State, err error) { l.note("opened v%d %v", s.Version, err) }

func (l *listener) Changed(s *State, u Update) {
	var changes []string
	for _, c := range u.Changes {
		changes = append(changes, fmt.Sprintf("%s=%s", c.Key, c.Value))
	}
	l.note("changed v%d %s", s.Version, strings.Join(changes, " "))
}

func (l *listener) Sent(_ *State, c Call)                 { l.note("sent %s", c.Method) }
func (l *listener) Settled(_ *State, w *Write, err error) { l.note("settled %v %v", w, err) }

// hears waits until the listener has been told exactly this, since it was asked last.
func (l *listener) hears(want ...string) {
	l.t.Helper()
	var heard []string
	eventually.True(l.t, strings.Join(want, ", "), func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		heard = l.heard
		return len(heard) >= len(want)
	})
	if strings.Join(heard, "\n") != strings.Join(want, "\n") {
		l.t.Fatalf("heard %q, want %q", heard, want)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = l.heard[len(want):]
}
