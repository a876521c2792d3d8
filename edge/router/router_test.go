package router

import (
	"errors"
	"testing"

	"natscast/internal/media"
	"natscast/kv"
)

func nodeChange(id string, change func(*kv.Node)) kv.Change[kv.Node] {
	n := kv.Node{ID: id, RTMP: "rtmp://" + id, Capacity: 1e9}
	if change != nil {
		change(&n)
	}
	return kv.Change[kv.Node]{Key: id, Now: n}
}

func hotnessChange(node string, stream media.Name, viewers int) kv.Change[kv.Hotness] {
	return kv.Change[kv.Hotness]{Now: kv.Hotness{Node: node, Stream: stream, Viewers: viewers, Egress: float64(viewers) * 1e6}}
}

func TestRouter(t *testing.T) {
	t.Parallel()
	r := New()
	if _, err := r.Route("live/x", "", "c"); !errors.Is(err, ErrNoEdge) {
		t.Errorf("without nodes: %v", err)
	}
	// What is heard of first does not matter.
	r.SetHotness([]kv.Change[kv.Hotness]{hotnessChange("a", "live/x", 10), hotnessChange("a", "", 10)})
	r.SetNodes([]kv.Change[kv.Node]{
		nodeChange("a", nil), nodeChange("b", func(n *kv.Node) { n.Draining = true }),
		nodeChange("origin", func(n *kv.Node) { n.RTMP = "" }), // takes no players
	})
	if n, err := r.Route("live/x", "", "c"); err != nil || n.ID != "a" || n.RTMP != "rtmp://a" {
		t.Errorf("while b drains: %+v, %v", n, err)
	}
	if x, err := r.Explain("live/x", "", "c"); err != nil || x.Candidates[0].Viewers != 10 || x.Candidates[0].Load < 10e6 {
		t.Errorf("the explanation: %+v, %v", x, err)
	}
	r.SetNodes([]kv.Change[kv.Node]{nodeChange("b", nil), nodeChange("a", func(n *kv.Node) { n.Draining = true })})
	if n, err := r.Route("live/x", "", "c"); err != nil || n.ID != "b" {
		t.Errorf("while a drains: %+v, %v", n, err)
	}
	r.SetNodes([]kv.Change[kv.Node]{{Key: "b", Before: kv.Node{ID: "b"}, Gone: true}})
	if n, err := r.Route("live/x", "", "c"); !errors.Is(err, ErrNoEdge) {
		t.Errorf("after b has gone: %+v, %v", n, err)
	}
	if x, err := r.Explain("live/x", "", "c"); !errors.Is(err, ErrNoEdge) || len(x.Candidates) == 0 {
		t.Errorf("the explanation: %+v, %v", x, err)
	}
	r.SetNodes([]kv.Change[kv.Node]{nodeChange("a", nil)})
	r.SetHotness([]kv.Change[kv.Hotness]{{Before: kv.Hotness{Node: "a", Stream: "live/x"}, Gone: true}})
	if x, err := r.Explain("live/x", "", "c"); err != nil || x.Edge != "a" || x.Candidates[0].Viewers != 0 {
		t.Errorf("after the stream has gone: %+v, %v", x, err)
	}
}
