package integration

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// webPage uses an object by WebSocket.
type webPage struct {
	io.ReadWriter
	t *testing.T
}

func openPage(t *testing.T, n *node, object string) *webPage {
	t.Helper()
	conn, early, _, err := ws.Dial(t.Context(), "ws://"+n.ready.Nodes[0].HTTP+"/objects/"+object)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		t.Fatal(err)
	}
	if early == nil {
		return &webPage{conn, t}
	}
	return &webPage{struct { // it has come with the handshake
		io.Reader
		io.Writer
	}{early, conn}, t}
}

func (p *webPage) says(text string) {
	p.t.Helper()
	if err := wsutil.WriteClientText(p, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

// hears reads messages until one has all of these texts.
func (p *webPage) hears(texts ...string) {
	p.t.Helper()
	for {
		b, err := wsutil.ReadServerText(p)
		if err != nil {
			p.t.Fatalf("waiting for %q: %v", texts, err)
		}
		found := true
		for _, text := range texts {
			found = found && strings.Contains(string(b), text)
		}
		if found {
			return
		}
	}
}

// object makes a plain request about an object.
func (n *node) object(t *testing.T, method, name, body string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+n.ready.Nodes[0].HTTP+"/objects/"+name, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(b)
}

// While NATS is away, pages and services keep what they have and learn that nothing can be written;
// when it is back, they go on.
func TestPagesWhenNATSIsAway(t *testing.T) {
	t.Parallel()
	const object = "live/board"
	s := startNATS(t, listenOn(freePort(t)))
	nodes := startEdges(t, []*natsServer{s}, []string{"one", "two"})
	one, two := openPage(t, nodes[0], object), openPage(t, nodes[1], object)
	one.says(`{"type":"change","id":1,"set":{"x":1}}`)
	one.hears(`"ack"`, `"id":1`)
	two.hears(`"x":1`) // in a change, or in its snapshot

	s.kill()
	one.says(`{"type":"change","id":2,"set":{"x":2}}`)
	one.hears(`"error"`, `"id":2`, `"code":"away"`)
	openPage(t, nodes[1], object).hears(`"snapshot"`, `"x":1`)
	if status, answer := nodes[0].object(t, http.MethodGet, object, ""); status != http.StatusOK || !strings.Contains(answer, `"x":1`) {
		t.Errorf("read: %d %s", status, answer)
	}
	for method, name := range map[string]string{http.MethodPatch: object, http.MethodGet: "live/unknown"} {
		if status, answer := nodes[0].object(t, method, name, `{"x":2}`); status != http.StatusServiceUnavailable {
			t.Errorf("%s %s: %d %s", method, name, status, answer)
		}
	}

	s.relaunch()
	s.ready()
	eventually(t, patience, "a change that is taken", func() bool {
		status, _ := nodes[1].object(t, http.MethodPatch, object, `{"y":3}`)
		return status == http.StatusOK || status == http.StatusNoContent
	})
	for i, p := range []*webPage{one, two} {
		p.hears(`"y":3`)
		status, answer := nodes[i].object(t, http.MethodGet, object, "")
		if want := `"y":3`; status != http.StatusOK || !strings.Contains(answer, want) {
			t.Errorf("node %d: %d %s", i, status, answer)
		}
	}
	one.says(`{"type":"change","id":4,"set":{"z":4}}`)
	two.hears(`"z":4`)
}
