package edge

import (
	"testing"
	"time"

	"natscast/internal/amf"
	"natscast/internal/eventually"
	"natscast/internal/media"
	"natscast/kv"
)

// startAverse starts a node that finds another one better for every player.
func startAverse(t *testing.T, config Config) (n, other *node) {
	t.Helper()
	n, other = startNode(t, config), startNode(t, Config{})
	if err := n.cluster.Update(t.Context(), func(n *kv.Node) { n.Draining = true }); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "players are placed on the other", func() bool {
		chosen, err := n.router.Route("live/x", "", "somebody")
		return err == nil && chosen.ID == other.cluster.Self().ID
	})
	return n, other
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	const there = "rtmp://nowhere/live?routed=1"
	moves := amf.Members{{Key: "capsEx", Value: 1.0}}
	cases := map[string]struct {
		policy  Redirect
		app     string
		connect amf.Members // of the connect object, beside the app
		srs     bool
		want    string // code of a status about the connection, and the URL in it
	}{
		"auto, plain":             {RedirectAuto, "live", nil, false, ""},
		"auto, follows":           {RedirectAuto, "live", moves, false, "NetConnection.Connect.ReconnectRequest " + there},
		"auto, SRS":               {RedirectAuto, "live", nil, true, "NetStream.Play.Failed " + there + "/x"},
		"auto, was sent here":     {RedirectAuto, "live?routed=1", moves, false, ""},
		"auto, announces nothing": {RedirectAuto, "live", amf.Members{{Key: "capsEx", Value: 2.0}}, false, ""},
		"always, plain":           {RedirectAlways, "live", nil, false, "NetStream.Play.Failed " + there + "/x"},
		"off, follows":            {RedirectOff, "live", moves, false, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, _ := startAverse(t, Config{Redirect: c.policy})
			r := shakeRaw(t, n)
			args := []amf.Value{&amf.Object{Members: append(amf.Members{{Key: "app", Value: c.app}}, c.connect...)}}
			if c.srs {
				args = append(args, &amf.Object{Members: amf.Members{{Key: "srs_sig", Value: "SRS"}}})
			}
			r.command(0, "connect", 1, args...)
			r.answer("_result", 1)
			r.createStream(2, 1)
			r.command(1, "play", 0, nil, "x")
			got, code := "", ""
			for code != "NetStream.Play.Start" && code != "NetStream.Play.Failed" {
				answer := r.next()
				info := amf.Fields(answer.Arg(1))
				if code = info.String("code"); answer.StreamID == 0 && answer.Name == "onStatus" {
					got = code + " " + target(info)
				}
			}
			if got != c.want {
				t.Errorf("told %q, want %q", got, c.want)
			}
			if served := code == "NetStream.Play.Start"; served == (code == "NetStream.Play.Failed") || served && n.Stats().Players != 1 {
				t.Errorf("%s, with %d players", code, n.Stats().Players)
			}
		})
	}
}

// target is where a status sends the client.
func target(info amf.Members) string {
	if url := info.String("tcUrl"); url != "" {
		return url
	}
	ex, _ := info.Get("ex")
	return amf.Fields(ex).String("redirect2")
}

// A node that drains asks those to go that can, and sends publishers away without an end for their
// players.
func TestDrain(t *testing.T) {
	t.Parallel()
	n, other := startNode(t, Config{Redirect: RedirectOff}), startNode(t, Config{})
	pub := publish(t, n.url("live/x"))
	there := play(t, other.url("live/x"))
	write(t, pub, keyframe(0))
	expect(t, there, keyframe(0))
	r := shakeRaw(t, n)
	r.command(0, "connect", 1, &amf.Object{Members: amf.Members{{Key: "app", Value: "live"}, {Key: "capsEx", Value: 1.0}}})
	r.answer("_result", 1)
	r.createStream(2, 1)
	r.command(1, "play", 0, nil, "x")
	r.status(1, "NetStream.Play.Reset")
	r.status(1, "NetStream.Play.Start")

	late := shakeRaw(t, n)
	drained := make(chan error, 1)
	go func() { drained <- n.Drain(t.Context()) }()
	eventually.True(t, "the stream is free", func() bool {
		_, err := n.store.Streams.Get(t.Context(), media.Name("live/x"))
		return err != nil
	})
	r.status(0, "NetConnection.Connect.ReconnectRequest")
	late.command(0, "connect", 1, &amf.Object{Members: amf.Members{{Key: "app", Value: "live"}}})
	info := amf.Fields(late.answer("_error", 1).Arg(1))
	ex, _ := info.Get("ex")
	if info.String("code") != "NetConnection.Connect.Rejected" || amf.Fields(ex).String("redirect") != "rtmp://nowhere/live?routed=1" {
		t.Errorf("who connects now is told %+v", info)
	}
	late.answer("close", 0)
	if !late.isClosed(time.Second) {
		t.Error("and stays connected")
	}
	pub = publish(t, other.url("live/x"))
	write(t, pub, keyframe(40))
	if f := read(t, there); f.Kind != media.Video || !f.Keyframe {
		t.Errorf("the stream goes on with %+v", f)
	}
	r.command(0, "close", 0)
	if err := <-drained; err != nil {
		t.Error(err)
	}
}
