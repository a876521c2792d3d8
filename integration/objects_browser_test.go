package integration

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natscast/internal/rtmp/client"
	"natscast/internal/rtmp/sharedobject"
)

// browserTab is a page in Chromium.
type browserTab struct {
	t   *testing.T
	ctx context.Context
}

// startBrowser runs Chromium without a window until the test ends, and returns a function that
// opens pages.
func startBrowser(t *testing.T) func(url string) *browserTab {
	t.Helper()
	need(t, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.WindowSize(900, 700))
	allocator, end := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(end)
	// Chromium ends with the first context, which has a tab that nobody uses.
	browser, endBrowser := chromedp.NewContext(allocator)
	t.Cleanup(endBrowser)
	if err := chromedp.Run(browser); err != nil {
		t.Fatal(err)
	}
	return func(url string) *browserTab {
		ctx, _ := chromedp.NewContext(browser) // it ends with the browser
		// the tab ends with the context of its first action
		if err := chromedp.Run(ctx); err != nil {
			t.Fatal(err)
		}
		b := &browserTab{t, ctx}
		b.do(chromedp.Navigate(url))
		b.until("connected", `document.getElementById("status").classList.contains("open")`)
		return b
	}
}

func (b *browserTab) do(actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// text is the value of an expression, as a string.
func (b *browserTab) text(expression string) (s string) {
	b.t.Helper()
	b.do(chromedp.Evaluate("String("+expression+")", &s))
	return s
}

func (b *browserTab) until(what, expression string) {
	b.t.Helper()
	eventually(b.t, patience, what, func() bool { return b.text(expression) == "true" })
}

// shows waits until the ball is there.
func (b *browserTab) shows(position string) {
	b.t.Helper()
	b.until("a ball at "+position, fmt.Sprintf("document.getElementById('at').textContent === %q", position))
}

// drag moves what is there to another place, as a mouse does.
func (b *browserTab) drag(selector string, dx, dy float64) {
	b.t.Helper()
	var middle []float64
	b.do(
		page.BringToFront(),
		chromedp.Evaluate(fmt.Sprintf(`(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector(%q).getBoundingClientRect())`, selector), &middle),
	)
	x, y := middle[0], middle[1]
	b.do(input.DispatchMouseEvent(input.MousePressed, x, y).WithButton(input.Left).WithClickCount(1))
	const steps = 20
	for i := 1.0; i <= steps; i++ {
		b.do(input.DispatchMouseEvent(input.MouseMoved, x+dx*i/steps, y+dy*i/steps).WithButton(input.Left).WithButtons(1))
	}
	b.do(input.DispatchMouseEvent(input.MouseReleased, x+dx, y+dy).WithButton(input.Left).WithClickCount(1))
}

// picture writes what the page looks like to the directory NATSCAST_TEST_ARTIFACTS, or that of the
// test's artifacts (go test -artifacts).
func (b *browserTab) picture(name string) {
	b.t.Helper()
	var png []byte
	b.do(page.BringToFront(), chromedp.CaptureScreenshot(&png))
	dir := cmp.Or(os.Getenv("NATSCAST_TEST_ARTIFACTS"), b.t.ArtifactDir())
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (n *node) page(path string) string {
	return "http://" + n.ready.Nodes[0].HTTP + "/examples/" + path
}

// The ball of 2007: who moves it in one browser, in Flash or in NATS moves it in all browsers.
func TestBallInBrowsers(t *testing.T) { // not beside others: browsers take the whole host
	open := startBrowser(t)
	c := &cluster{nats: startNATS(t)}
	c.origin = startNode(t, "origin", "--nats", c.nats.url, "--id", "origin")
	edge := []string{"--nats", c.nats.url, "--id", "edge", "--http", fmt.Sprintf("127.0.0.1:%d", freePort(t)), "--http-origin", "*"}
	c.edge = startNode(t, "edge", edge...)
	one, two := open(c.origin.page("ball.html")), open(c.edge.page("ball.html"))
	three := open(c.origin.page("ball.html?node=" + c.edge.ready.Nodes[0].HTTP)) // a page of one node with the other one
	all := []*browserTab{one, two, three}

	one.drag("#ball", 150, -60)
	one.until("a ball that has moved", `document.getElementById("ball").cx.baseVal.value > 400`)
	at := one.text(`document.getElementById("at").textContent`)
	for _, b := range all {
		b.shows(at)
	}
	two.drag("#ball", -300, 100)
	two.until("a ball that has moved", `document.getElementById("ball").cx.baseVal.value < 300`)
	one.shows(two.text(`document.getElementById("at").textContent`))

	flash, err := client.DialApp(t.Context(), strings.TrimSuffix(c.edge.url("x"), "/x"))
	if err != nil {
		t.Fatal(err)
	}
	defer flash.Close()
	for _, m := range [][]sharedobject.Event{
		{{Type: sharedobject.Use}},
		{{Type: sharedobject.RequestChange, Key: "x", Value: 100.0}, {Type: sharedobject.RequestChange, Key: "y", Value: 50.0}},
	} {
		if err := flash.SendSharedObject(sharedobject.Message{Name: "ball", Events: m}); err != nil {
			t.Fatal(err)
		}
	}
	for i, b := range all {
		b.shows("100, 50")
		b.picture(fmt.Sprintf("ball-rtmp-%d", i+1))
	}
	putInNATS(t, c, "live.ball.x", "600")
	for i, b := range all {
		b.shows("600, 50")
		b.picture(fmt.Sprintf("ball-nats-%d", i+1))
	}

	// A page finds out what it has missed.
	c.edge.kill()
	two.until("disconnected", `!document.getElementById("status").classList.contains("open")`)
	two.picture("ball-away")
	one.drag("#ball", -100, 100)
	one.until("a ball that has moved", `document.getElementById("ball").cx.baseVal.value < 580`)
	c.edge = startNode(t, "edge", edge...)
	for _, b := range all {
		b.shows(one.text(`document.getElementById("at").textContent`))
	}
	two.picture("ball-back")
}

func putInNATS(t *testing.T, c *cluster, key, value string) {
	t.Helper()
	nc, err := nats.Connect(c.nats.url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := js.KeyValue(t.Context(), "objects")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.PutString(t.Context(), key, value); err != nil {
		t.Fatal(err)
	}
}

// Two pages on two nodes chat about a stream that both play.
func TestChatInBrowsers(t *testing.T) { // not beside others, either
	open := startBrowser(t)
	c := startCluster(t)
	one, two := open(c.origin.page("chat.html?stream=live/test")), open(c.edge.page("chat.html?stream=live/test"))
	one.until("a line about the stream", `document.getElementById("player").textContent === "Nobody publishes live/test."`)
	for _, b := range []*browserTab{one, two} {
		b.until("two people", `document.getElementById("people").textContent === "2"`)
	}
	say := func(b *browserTab, name, text string) {
		b.do(page.BringToFront(),
			chromedp.SetValue("#name", name, chromedp.ByQuery), chromedp.SetValue("#text", text, chromedp.ByQuery), chromedp.Click("#form button", chromedp.ByQuery))
	}
	const said = `[...document.querySelectorAll("li")].map(l => l.textContent).join("|")`
	says := func(b *browserTab, want string) {
		t.Helper()
		b.until(want, fmt.Sprintf("%s === %q", said, want))
	}
	say(one, "Ann", "hello <b>all</b>")
	for _, b := range []*browserTab{one, two} {
		says(b, "Annhello <b>all</b>")
	}
	say(two, "Bob", "hi Ann")
	says(one, "Annhello <b>all</b>|Bobhi Ann")
	two.do(chromedp.Reload())
	says(two, "Annhello <b>all</b>|Bobhi Ann")
	one.until("two people", `document.getElementById("people").textContent === "2"`)

	start(t, binary(), "publish", c.origin.url("test"))
	for i, b := range []*browserTab{one, two} {
		b.do(page.BringToFront())
		b.until("a stream that plays", `document.getElementById("video").currentTime > 1`)
		b.picture(fmt.Sprintf("chat-%d", i+1))
	}
}
