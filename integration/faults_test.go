package integration

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"natscast/kv"
)

// leaders are the names of the servers of a cluster that is about to lose one of them.
type leaders struct {
	all    []string
	meta   string            // leads JetStream itself
	shards map[string]string // leads a shard
}

// other returns a server that is none of these.
func (l leaders) other(t *testing.T, than ...string) string {
	t.Helper()
	for _, name := range l.all {
		if !slices.Contains(than, name) {
			return name
		}
	}
	t.Fatalf("no server but %v", than)
	return ""
}

// awayFrom returns a shard that another server leads.
func (l leaders) awayFrom(t *testing.T, server string) string {
	t.Helper()
	for _, shard := range slices.Sorted(maps.Keys(l.shards)) {
		if l.shards[shard] != server {
			return shard
		}
	}
	t.Fatalf("%s leads all shards", server)
	return ""
}

// roles say which server is killed and what else the servers do.
type roles struct {
	victim     string
	shard      string // the stream's; empty: any
	home, door string // the publisher's node and the players' edge are connected to them
	directory  string // leads the directory of streams
}

// fault is the death of one NATS server of three.
type fault struct {
	hangs            bool // it does not die: it goes silent
	shards, replicas int
	plan             func(*testing.T, leaders) roles
	moves            bool          // the stream gets another shard
	longest          time.Duration // pause
}

// A connection to a server that is silent is given up after three pings, 2 s apart.
const unanswered = 6 * time.Second

var faults = map[string]fault{
	"the shard's server hangs": {
		hangs: true, shards: 2, replicas: 1, moves: true, longest: 3*time.Second + margin, plan: theShard,
	},
	"the server of the players' edge hangs": {
		hangs: true, shards: 1, replicas: 1, longest: unanswered + margin, plan: thePlayers,
	},
	"the server of the publisher's node hangs": {
		hangs: true, shards: 1, replicas: 1, longest: unanswered + margin, plan: thePublisher,
	},
	"the shard's server": {
		shards: 2, replicas: 1, moves: true, longest: 3*time.Second + margin,
		plan: theShard,
	},
	"the directory's leader": {
		shards: 1, replicas: 1, longest: 3*time.Second + margin,
		plan: func(t *testing.T, l leaders) roles {
			victim := l.other(t, l.meta, l.shards["0"])
			return roles{victim: victim, home: l.meta, door: l.meta, directory: victim}
		},
	},
	"JetStream's leader": {
		shards: 2, replicas: 1, longest: 3*time.Second + margin,
		plan: func(t *testing.T, l leaders) roles {
			shard := l.awayFrom(t, l.meta)
			here := l.shards[shard]
			return roles{victim: l.meta, shard: shard, home: here, door: here, directory: here}
		},
	},
	"the server of the players' edge": {
		shards: 1, replicas: 1, longest: 3*time.Second + margin,
		plan: thePlayers,
	},
	"the server of the publisher's node": {
		shards: 1, replicas: 1, longest: 3*time.Second + margin,
		plan: thePublisher,
	},
	"the leader of a replicated shard": {
		shards: 2, replicas: 3, longest: 3*time.Second + margin,
		plan: func(t *testing.T, l leaders) roles {
			victim := l.other(t, l.meta)
			third := l.other(t, l.meta, victim)
			return roles{victim: victim, shard: "0", home: third, door: third, directory: l.meta}
		},
	},
}

func theShard(t *testing.T, l leaders) roles {
	shard := l.awayFrom(t, l.meta)
	idle := l.other(t, l.shards["0"], l.shards["1"])
	return roles{victim: l.shards[shard], shard: shard, home: idle, door: idle, directory: idle}
}

func thePlayers(t *testing.T, l leaders) roles {
	victim := l.other(t, l.meta, l.shards["0"])
	return roles{victim: victim, home: l.meta, door: victim, directory: l.meta}
}

func thePublisher(t *testing.T, l leaders) roles {
	victim := l.other(t, l.meta, l.shards["0"])
	return roles{victim: victim, home: victim, door: l.meta, directory: l.meta}
}

// When one of three NATS servers is killed, or hangs, players see a pause and miss nothing, what is
// stored has no holes unless its only copy is gone, and who joins later gets a picture at once.
func TestNATSFaults(t *testing.T) {
	t.Parallel()
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers := startNATSCluster(t)
			flags := []string{"--grace", defaultGrace.String(), "--kv-replicas", "3", "--live-replicas", fmt.Sprint(f.replicas), "--shards", fmt.Sprint(f.shards)}
			startNode(t, "edge", append(flags, "--id", "zeroth", "--nats", servers[0].url)...).interrupt()
			l := survey(t, servers, f.shards)
			r := f.plan(t, l)
			t.Logf("%+v: %+v", l, r)
			victim, home, door := byName(servers, r.victim), byName(servers, r.home), byName(servers, r.door)
			alive := byName(servers, l.other(t, r.victim))
			alive.stepDown(t, "KV_streams", r.directory)
			if f.replicas > 1 {
				alive.stepDown(t, "LIVE_0", r.victim)
				alive.stepDown(t, "LIVE_1", l.meta)
			}
			origin := startNode(t, "origin", append(flags, "--id", "origin", "--nats", home.url)...)
			edge := startNode(t, "edge", append(flags, "--id", "edge", "--nats", door.url)...)
			cold := startNode(t, "edge", append(flags, "--id", "cold", "--nats", alive.url)...)

			e, stream := publishOnShard(t, origin, alive, r.shard)
			a := watch(t, edge.url(stream), 10)
			a.warmUp()
			var before placed
			eventually(t, patience, "the stream in the directory", func() (ok bool) {
				before, ok = alive.entry(t, stream)
				return ok
			})
			killed := time.Now()
			if f.hangs {
				t.Cleanup(victim.kill) // it does not heed SIGINT
				victim.freeze()
			} else {
				victim.kill()
			}
			if f.moves {
				eventually(t, patience, "another shard with a higher epoch", func() bool {
					after, ok := alive.entry(t, stream)
					return ok && after.Shard != before.Shard && after.Epoch > before.Epoch
				})
				t.Logf("%s: moved after %v", name, time.Since(killed).Round(time.Millisecond))
			}
			a.playOn(killed.Add(12*time.Second), patience)
			seen := a.since(killed)
			joined, atOnce := joinLate(t, cold.url(stream))
			t.Logf("%s: %v; a late player waits %v", name, seen, joined)
			// A silent server is still asked now and then.
			if !atOnce && (!f.hangs || joined > margin+time.Second) {
				t.Errorf("a late player has waited %v for the next keyframe", joined)
			}
			if seen.pause > f.longest || seen.missing > 0 || seen.repeated > 0 || seen.back > 0 {
				t.Errorf("want a pause of %v at most, and nothing missing", f.longest)
			}
			if e.begun() != 1 {
				t.Errorf("the encoder had %d sessions", e.begun())
			}
			// What the store could not take meanwhile, it is sent again for 15 s.
			var gaps []string
			eventually(t, patience, "all in the store", func() bool {
				h := alive.stored(t, f.shards, stream)
				if f.moves {
					delete(h, before.Epoch) // its only copy is gone
				}
				now := h.gaps()
				if !slices.Equal(now, gaps) && len(now) > 0 {
					t.Logf("%s: %v", name, now)
				}
				gaps = now
				return len(gaps) == 0
			})
		})
	}
}

// survey finds out who leads what.
func survey(t *testing.T, servers []*natsServer, shards int) leaders {
	t.Helper()
	l := leaders{shards: map[string]string{}}
	for i := range servers {
		l.all = append(l.all, fmt.Sprintf("n%d", i+1))
	}
	eventually(t, patience, "leaders", func() bool {
		l.meta = servers[0].metaLeader(t)
		complete := l.meta != ""
		for i := range shards {
			shard := fmt.Sprint(i)
			l.shards[shard] = servers[0].leader(t, "LIVE_"+shard)
			complete = complete && l.shards[shard] != ""
		}
		return complete
	})
	return l
}

// byName returns the server with this name.
func byName(servers []*natsServer, name string) *natsServer {
	return servers[int(name[1]-'1')]
}

// publishOnShard publishes a stream whose name is chosen such that the shard is its home.
func publishOnShard(t *testing.T, n *node, s *natsServer, shard string) (*encoder, string) {
	t.Helper()
	for i := range 20 {
		name := fmt.Sprintf("stream-%d", i)
		e := startEncoder(t, n.url(name))
		var p placed
		eventually(t, patience, "an entry of the directory", func() (ok bool) {
			p, ok = s.entry(t, name)
			return ok
		})
		if shard == "" || p.Shard == shard {
			return e, name
		}
		e.goTo("")
	}
	t.Fatalf("no name has its home on shard %s", shard)
	return nil, ""
}

// joinLate returns how long a player on an edge without others waits for its first picture, and
// whether that is one from before it asked: who has to wait for a keyframe does not get that.
func joinLate(t *testing.T, url string) (waited time.Duration, atOnce bool) {
	t.Helper()
	a := watch(t, url, 1)
	var pictures []sight
	eventually(t, patience, "a picture for who joins late", func() bool {
		var end error
		if pictures, _, end = a.viewers[0].pictures(); end != nil {
			t.Fatal(end)
		}
		return len(pictures) > 0
	})
	first := pictures[0]
	waited = first.at.Sub(a.joined).Round(time.Millisecond)
	// The keyframe may have come just then.
	return waited, first.mark.Wall.Before(a.joined) || waited < 200*time.Millisecond
}

// When NATS is away altogether and comes back, with its store, so does everything else: players
// stay connected and play on.
func TestNATSIsAway(t *testing.T) {
	t.Parallel()
	const away = 5 * time.Second
	for name, test := range map[string]struct {
		start   func(t *testing.T) []*natsServer
		flags   []string
		longest time.Duration // pause, beside the time away
	}{
		"one server": {
			start:   func(t *testing.T) []*natsServer { return []*natsServer{startNATS(t, listenOn(freePort(t)))} },
			longest: 5 * time.Second,
		},
		"one server, for longer than the grace time": {
			start:   func(t *testing.T) []*natsServer { return []*natsServer{startNATS(t, listenOn(freePort(t)))} },
			flags:   []string{"--grace", grace.String()},
			longest: 5 * time.Second,
		},
		// They elect a leader before they take anything.
		"three servers": {start: startNATSCluster, flags: []string{"--kv-replicas", "3"}, longest: 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers := test.start(t)
			last := len(servers) - 1
			flags := append([]string{"--grace", defaultGrace.String()}, test.flags...)
			origin := startNode(t, "origin", append(flags, "--id", "origin", "--nats", servers[0].url)...)
			edge := startNode(t, "edge", append(flags, "--id", "edge", "--nats", servers[last].url)...)
			cold := startNode(t, "edge", append(flags, "--id", "cold", "--nats", servers[last].url)...)
			startEncoder(t, origin.url("a"))
			a := watch(t, edge.url("a"), 10)
			a.warmUp()
			killed := time.Now()
			for _, s := range servers {
				s.kill()
			}
			patient, newcomer := watch(t, edge.url("a"), 1), startEncoder(t, origin.url("b"))
			pause(t.Context(), time.Until(killed.Add(away)))
			for _, s := range servers {
				s.relaunch()
			}
			for _, s := range servers {
				s.ready()
			}
			back := time.Now()
			a.playOn(back.Add(2*time.Second), test.longest+patience)
			a.playOn(time.Now().Add(2*time.Second), patience)
			patient.playOn(time.Now(), patience)
			eventually(t, patience, "a publisher that came meanwhile is let in", func() bool { return newcomer.begun() == 1 })
			seen := a.since(killed)
			joined, atOnce := joinLate(t, cold.url("a"))
			t.Logf("%s: away for %v: %v; a late player waits %v", name, back.Sub(killed).Round(time.Millisecond), seen, joined)
			if !atOnce {
				t.Errorf("a late player has waited %v for the next keyframe", joined)
			}
			eventually(t, patience, "all nodes, and all their players, in the cluster's state again", func() bool {
				var players []kv.Connection
				err := cold.get("/api/v1/connections?node=edge", &players)
				return err == nil && len(players) == len(a.viewers)+len(patient.viewers) && cold.sees("cold", "edge", "origin")
			})
			if seen.missing > 0 && !edge.says("chunks are missing") && !edge.says("the stream goes on in a new epoch") {
				t.Error("the log does not tell of what is missing")
			}
			if seen.pause > back.Sub(killed)+test.longest || seen.repeated > 0 || seen.back > 0 {
				t.Errorf("want a pause of %v at most beside the time away", test.longest)
			}
		})
	}
}
