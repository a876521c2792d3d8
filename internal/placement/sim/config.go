package sim

import (
	"errors"
	"fmt"
	"time"
)

// ErrConfig is wrapped by the errors for which the configuration is to blame.
var ErrConfig = errors.New("nothing to simulate")

// Config is what is simulated. The zero value of a number stands for its default.
type Config struct {
	Edges    int
	Viewers  int      // at once, without the crowd; default: 1000 an edge
	Streams  int      // default: 10 an edge
	Seed     uint64   // equal seeds give equal results
	Policies []string // default: all
	Crowd    bool     // one stream goes from nothing to 30 % of all viewers in a minute
	Failures bool     // one edge in a hundred, at least one, dies
}

// Limits keep the memory within a few gigabytes.
const (
	MaxEdges   = 2000
	MaxViewers = 2_000_000
	MaxStreams = 100_000
)

// What all runs have in common.
const (
	zipf        = 1.0 // popularity of stream i is i^-zipf
	session     = 3 * time.Minute
	utilisation = 0.6 // of all capacity, without the crowd
	views       = 4   // routers share that many views of the reports, each with its own delays

	settle  = 3 * session // until then nothing is measured
	measure = session     // steady state
	ramp    = time.Minute
	hold    = 2 * time.Minute // the crowd stays
	fold    = 2 * time.Minute // the crowd leaves
	outage  = 2 * time.Minute // what is told of the time after edges died

	crowdShare  = 0.3
	crowdLeaves = 20 * time.Second // mean time to leave once it is over
	deathShare  = 0.01

	reportEvery = time.Second
	leastDelay  = time.Second
	mostDelay   = 4 * time.Second // so that reports in use are 1 to 5 s old
	silence     = 3 * time.Second // until an edge that died is known to be silent
	retry       = time.Second
	attempts    = 5 // of a viewer who meets full or dead edges
)

func (c Config) filled() (Config, error) {
	if c.Viewers == 0 {
		c.Viewers = 1000 * c.Edges
	}
	if c.Streams == 0 {
		c.Streams = 10 * c.Edges
	}
	if len(c.Policies) == 0 {
		c.Policies = PolicyNames()
	}
	for _, limit := range []struct {
		name        string
		value, most int
	}{{"edges", c.Edges, MaxEdges}, {"viewers", c.Viewers, MaxViewers}, {"streams", c.Streams, MaxStreams}} {
		if limit.value < 1 || limit.value > limit.most {
			return c, fmt.Errorf(
				"%w: %d %s, want 1 to %d",
				ErrConfig,
				limit.value,
				limit.name,
				limit.most,
			)
		}
	}
	for _, name := range c.Policies {
		if find(name) == nil {
			return c, fmt.Errorf("%w: there is no policy %q", ErrConfig, name)
		}
	}
	return c, nil
}
