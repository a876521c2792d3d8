package integration

import (
	"slices"
	"testing"
	"time"
)

// grace is how long the tests let a publisher be away where they wait for the end of it; margin
// is what a busy machine may add to any time.
const (
	defaultGrace = 10 * time.Second
	grace        = 2 * time.Second
	margin       = 2 * time.Second
)

// trio is a cluster of three nodes: where the encoder begins, where the players are, and where the
// encoder comes back.
type trio struct {
	nats                   *natsServer
	first, viewers, second *node
}

func startTrio(t *testing.T, args ...string) *trio {
	t.Helper()
	c := &trio{nats: startNATS(t)}
	args = append([]string{"--nats", c.nats.url, "--lease", leaseTTL.String(), "--grace", defaultGrace.String()}, args...)
	c.first = launchNode(t, "edge", append(args, "--id", "first")...)
	c.viewers = launchNode(t, "edge", append(args, "--id", "viewers")...)
	c.second = launchNode(t, "edge", append(args, "--id", "second")...)
	for _, n := range []*node{c.first, c.viewers, c.second} {
		n.awaitReady()
	}
	return c
}

// When an encoder is lost, in whatever way, and comes back, its players on all nodes go on: no
// end, no step back of the timestamps, and no longer a gap than it takes.
func TestEncoderComesBack(t *testing.T) {
	t.Parallel()
	const away = time.Second
	const soon = time.Second + margin
	cutOff := func(_ *trio, e *encoder) { e.vanish() }
	saysGoodbye := func(_ *trio, e *encoder) { e.goTo("") }
	nodeDies := func(c *trio, _ *encoder) { c.first.kill() }
	same := func(c *trio) *node { return c.first }
	other := func(c *trio) *node { return c.second }
	for name, test := range map[string]struct {
		flags   []string
		players int
		lose    func(*trio, *encoder)
		away    time.Duration
		back    func(*trio) *node
		longest time.Duration // pause, beside the time away
	}{
		"cut off, same node":       {nil, 10, cutOff, away, same, soon},
		"cut off, other node":      {nil, 10, cutOff, away, other, soon},
		"goodbye, same node":       {nil, 10, saysGoodbye, away, same, soon},
		"goodbye, other node":      {nil, 10, saysGoodbye, away, other, soon},
		"node killed, lease":       {nil, 50, nodeDies, 0, other, leaseTTL + margin},
		"node killed, takes over":  {[]string{"--takeover"}, 50, nodeDies, 0, other, soon},
		"moves, takes over":        {[]string{"--takeover"}, 10, func(*trio, *encoder) {}, 0, other, soon},
		"cut off, away for longer": {nil, 10, cutOff, 6 * time.Second, same, soon},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startTrio(t, test.flags...)
			e := startEncoder(t, c.first.url("a"))
			audiences := []*audience{watch(t, c.viewers.url("a"), test.players), watch(t, c.second.url("a"), 1)}
			for _, a := range audiences {
				a.warmUp()
			}
			lost := time.Now()
			test.lose(c, e)
			pause(t.Context(), test.away)
			e.goTo(test.back(c).url("a"))
			eventually(t, patience, "another session", func() bool { return e.begun() == 2 })
			begun := time.Now()
			for _, a := range audiences {
				a.playOn(begun.Add(2*time.Second), patience)
				seen := a.since(lost)
				t.Logf("%d players: %v", len(a.viewers), seen)
				if seen.pause > test.away+test.longest || seen.missing > 0 || seen.repeated > 0 || seen.back > 0 || seen.drift > time.Second {
					t.Errorf("want a pause of %v at most, and nothing missing", test.away+test.longest)
				}
			}
			if e.begun() != 2 {
				t.Errorf("the encoder had %d sessions", e.begun())
			}
		})
	}
}

// The same with ffmpeg, which is killed and started again, and players of other makes, which
// would end if they were told that the stream ends.
func TestFFmpegIsStartedAgain(t *testing.T) {
	t.Parallel()
	av := mediaFile(t, "av")
	c := startTrio(t)
	publisher := publishFile(t, av, c.first.url("a"))
	awaitStream(t, c.first.url("a"))
	a := watch(t, c.viewers.url("a"), 10)
	recordings := []*recording{players["ffmpeg"].record(t, c.viewers.url("a")), players["rtmpdump"].record(t, c.second.url("a"))}
	a.warmUp()
	for _, r := range recordings {
		r.awaitMedia()
	}
	lost := time.Now()
	publisher.kill()
	publishFile(t, av, c.first.url("a"))
	a.playOn(lost.Add(5*time.Second), patience)
	seen := a.since(lost)
	t.Log(seen)
	if seen.pause > margin || seen.back > 0 || seen.drift > time.Second {
		t.Errorf("want a pause of %v at most, and timestamps that span it", margin)
	}
	for _, r := range recordings {
		if !r.running() {
			t.Errorf("%v has ended", r.cmd)
			continue
		}
		r.kill()
		// It has both sessions, a picture each 40 ms but for the pause.
		if pictures := probePackets(t, r.file)["video"]; len(pictures) < 100 {
			t.Errorf("%v: %d pictures", r.cmd, len(pictures))
		} else if err := ascends(pictures); err != nil {
			t.Errorf("%v: %v", r.cmd, err)
		}
	}
}

// Players are told that a stream has ended when its publisher has been away for the grace time.
func TestEncoderStaysAway(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		lose            func(*trio, *encoder)
		soonest, latest time.Duration
	}{
		"cut off":     {func(_ *trio, e *encoder) { e.vanish() }, grace, grace + margin},
		"goodbye":     {func(_ *trio, e *encoder) { e.goTo("") }, grace, grace + margin},
		"node killed": {func(c *trio, _ *encoder) { c.first.kill() }, grace, grace + leaseTTL + margin},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startTrio(t, "--grace", grace.String())
			e := startEncoder(t, c.first.url("a"))
			a := watch(t, c.viewers.url("a"), 10)
			a.warmUp()
			lost := time.Now()
			test.lose(c, e)
			first, last := a.awaitEnd(test.latest + patience)
			t.Logf("players are told after %v to %v", first.Sub(lost).Round(time.Millisecond), last.Sub(lost).Round(time.Millisecond))
			// The last picture is up to a frame older.
			if first.Sub(lost) < test.soonest-100*time.Millisecond || last.Sub(lost) > test.latest {
				t.Errorf("want %v to %v", test.soonest, test.latest)
			}
		})
	}
}

// When a host dies, the node where the encoder was and the NATS server with the only copy of the
// stream die at once; players elsewhere go on when the encoder has found another node.
func TestHostDies(t *testing.T) {
	t.Parallel()
	servers := startNATSCluster(t)
	flags := []string{"--grace", defaultGrace.String(), "--kv-replicas", "3", "--lease", leaseTTL.String()}
	startNode(t, "edge", append(flags, "--id", "zeroth", "--nats", servers[0].url)...).interrupt()
	host := byName(servers, survey(t, servers, 4).shards["0"])
	others := slices.DeleteFunc(slices.Clone(servers), func(s *natsServer) bool { return s == host })
	first := startNode(t, "edge", append(flags, "--id", "first", "--nats", host.url)...)
	viewers := startNode(t, "edge", append(flags, "--id", "viewers", "--nats", others[0].url)...)
	second := startNode(t, "edge", append(flags, "--id", "second", "--nats", others[1].url)...)

	e := startEncoder(t, first.url("a"))
	a := watch(t, viewers.url("a"), 10)
	a.warmUp()
	died := time.Now()
	first.kill()
	host.kill()
	e.goTo(second.url("a"))
	// The directory may have to elect a leader, then the lease runs out.
	eventually(t, 2*patience, "another session", func() bool { return e.begun() == 2 })
	begun := time.Now()
	a.playOn(begun.Add(2*time.Second), patience)
	seen := a.since(died)
	t.Logf("published again after %v: %v", begun.Sub(died).Round(time.Millisecond), seen)
	if longest := begun.Sub(died) + margin; seen.pause > longest || seen.missing > 0 || seen.repeated > 0 || seen.back > 0 || seen.drift > time.Second {
		t.Errorf("want a pause of %v at most, nothing missing, and timestamps that span it", longest)
	}
}

// On a node that takes over, the second publisher wins: the first one is told, and players go on.
func TestTakeover(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]func(*trio) *node{
		"on the same node":  func(c *trio) *node { return c.first },
		"on another node":   func(c *trio) *node { return c.second },
		"where players are": func(c *trio) *node { return c.viewers },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startTrio(t, "--takeover")
			first := start(t, binary(), "publish", c.first.url("a"))
			a := watch(t, c.viewers.url("a"), 10)
			a.warmUp()
			taken := time.Now()
			e := startEncoder(t, at(c).url("a"))
			if status := first.wait(patience); status == 0 {
				t.Error("the first publisher does not know that it has been cut off")
			}
			a.playOn(taken.Add(3*time.Second), patience)
			seen := a.since(taken)
			t.Log(seen)
			if seen.pause > time.Second+margin || seen.missing > 0 || seen.back > 0 {
				t.Errorf("want a pause of %v at most, and nothing missing", time.Second+margin)
			}
			if e.begun() != 1 {
				t.Errorf("the second publisher had %d sessions", e.begun())
			}
		})
	}
}

// A node that was frozen, and finds another publisher in its place when it wakes up, ends its own;
// players see nothing of what it had still to say.
func TestNodeIsFrozen(t *testing.T) {
	t.Parallel()
	c := startTrio(t)
	first := startEncoder(t, c.first.url("a"))
	a := watch(t, c.viewers.url("a"), 10)
	a.warmUp()
	frozen := time.Now()
	c.first.freeze()
	t.Cleanup(c.first.thaw)
	second := startEncoder(t, c.second.url("a"))
	eventually(t, leaseTTL+patience, "the second publisher", func() bool { return second.begun() > 0 })
	a.playOn(time.Now().Add(time.Second), patience)
	c.first.thaw()
	a.playOn(time.Now().Add(leaseTTL+margin), patience)
	first.goTo("")
	seen := a.since(frozen)
	t.Log(seen)
	if seen.pause > leaseTTL+margin || seen.missing > 0 || seen.repeated > 0 || seen.back > 0 {
		t.Errorf("want a pause of %v at most, and nothing missing", leaseTTL+margin)
	}
	if !c.first.says("another publisher has the stream") || second.begun() != 1 {
		t.Errorf("the second publisher had %d sessions, the first %d", second.begun(), first.begun())
	}
}

// An encoder that comes and goes, from node to node, is one stream for its players.
func TestEncoderIsRestless(t *testing.T) {
	t.Parallel()
	const rounds = 12
	c := startTrio(t, "--takeover")
	nodes := []*node{c.first, c.second, c.viewers}
	e := startEncoder(t, c.first.url("a"))
	a := watch(t, c.viewers.url("a"), 10)
	a.warmUp()
	begun := time.Now()
	for i := range rounds {
		switch i % 3 {
		case 0:
			e.vanish()
		case 1:
			e.goTo("") // with a word
		}
		e.goTo(nodes[i%len(nodes)].url("a"))
		eventually(t, patience, "the next session", func() bool { return e.begun() == i+2 })
		a.playOn(time.Now().Add(time.Duration(i%4)*200*time.Millisecond), patience)
	}
	a.playOn(time.Now().Add(time.Second), patience)
	seen := a.since(begun)
	t.Log(seen)
	if seen.pause > time.Second+margin || seen.missing > 0 || seen.repeated > 0 || seen.back > 0 {
		t.Errorf("want a pause of %v at most, and nothing missing", time.Second+margin)
	}
}
