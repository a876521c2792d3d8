package serve

import (
	"errors"
	"io"
	"reflect"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"natscast/bus"
	"natscast/edge"
	"natscast/internal/cli/clitest"
	"natscast/internal/cli/cmdline"
	"natscast/internal/node"
	"natscast/kv"
	"natscast/origin"
)

// with runs check with the context of a command line of edge's flags.
func with(t *testing.T, args []string, check func(*cli.Context)) {
	t.Helper()
	command := &cli.Command{Name: "edge", Flags: serveFlags(), Action: func(c *cli.Context) error {
		check(c)
		return nil
	}}
	runCommand(t, command, args...)
}

// runCommand runs a command, which is used once.
func runCommand(t *testing.T, command *cli.Command, args ...string) {
	t.Helper()
	app := cmdline.NewApp(command)
	args = append([]string{command.Name}, args...)
	if err := clitest.RunApp(t.Context(), app, io.Discard, io.Discard, args...); err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		want node.Config
	}{
		"defaults": {
			nil,
			node.Config{
				Bus: bus.Options{
					Shards:      4,
					Replicas:    1,
					Storage:     bus.Memory,
					Retention:   time.Minute,
					MaxBytes:    256 << 20,
					StaticBytes: 256 << 20,
					StaticAge:   10 * time.Minute,
				},
				KV:       kv.Options{Replicas: 1, Storage: "file", LeaseTTL: 5 * time.Second},
				Capacity: 1e9, Drain: 30 * time.Second,
				Edge: edge.Config{
					Grace:        10 * time.Second,
					Redirect:     edge.RedirectAuto,
					ObjectRate:   500,
					SegmentCache: 512 << 20,
				},
			},
		},
		"all": {
			[]string{
				"--shards=8", "--live-replicas=3", "--live-storage=file", "--live-retention=2h",
				"--live-retention=lectures/*=4h,20GiB", "--live-max-bytes=5000", "--static-cache=1GiB",
				"--static-cache-age=1h", "--kv-replicas=5", "--kv-storage=memory", "--lease=9s",
				"--coalesce=50ms", "--grace=0", "--takeover", "--region=eu", "--capacity=20",
				"--redirect=off", "--object-rate=50", "--segment-cache=2GiB", "--drain=1m",
			},
			node.Config{
				Bus: bus.Options{
					Shards:      8,
					Replicas:    3,
					Storage:     bus.File,
					Retention:   2 * time.Hour,
					MaxBytes:    5000,
					StaticBytes: 1 << 30,
					StaticAge:   time.Hour,
					Classes: []bus.Class{
						{Pattern: "lectures/*", Retention: 4 * time.Hour, MaxBytes: 20 << 30, Storage: bus.File},
					},
				},
				KV:     kv.Options{Replicas: 5, Storage: "memory", LeaseTTL: 9 * time.Second},
				Origin: origin.Config{TakeOver: true},
				Region: "eu", Capacity: 20e6, Drain: time.Minute,
				Edge: edge.Config{
					Coalesce:     50 * time.Millisecond,
					Redirect:     edge.RedirectOff,
					ObjectRate:   50,
					SegmentCache: 2 << 30,
				},
			},
		},
	}
	for name, test := range tests {
		with(t, test.args, func(c *cli.Context) {
			if got, err := nodeConfig(c); err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("%s: got %+v, %v, want %+v", name, got, err, test.want)
			}
		})
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for size, want := range map[string]int64{
		"1000000": 1_000_000, "64KiB": 64 << 10, "1GB": 1e9,
		"": 0, "0": 0, "-1": 0, "1h": 0, "512 MiB": 0, "much": 0, "9999999999GiB": 0,
	} {
		with(t, []string{"--segment-cache=" + size, "--static-cache=1GiB"}, func(c *cli.Context) {
			config, err := nodeConfig(c)
			if got := config.Edge.SegmentCache; got != want ||
				errors.Is(err, cmdline.ErrUsage) != (want == 0) {
				t.Errorf("segments, %q: %d bytes, %v, want %d", size, got, err, want)
			}
		})
		with(t, []string{"--static-cache=" + size}, func(c *cli.Context) {
			options, err := busOptions(c)
			if got := options.StaticBytes; got != want || errors.Is(err, cmdline.ErrUsage) != (want == 0) {
				t.Errorf("of JetStream, %q: %d bytes, %v, want %d", size, got, err, want)
			}
		})
	}
}

// TestEnvironment is not parallel: the environment belongs to the process.
func TestEnvironment(t *testing.T) {
	t.Setenv("NATSCAST_NATS", "nats://a,nats://b")
	t.Setenv("NATSCAST_LIVE_REPLICAS", "3")
	t.Setenv("NATSCAST_SEGMENT_CACHE", "3MiB")
	t.Setenv("NATSCAST_LIVE_RETENTION", "1m,lectures/*=4h,20GiB")
	with(t, []string{"--lease=7s"}, func(c *cli.Context) {
		if got := c.String("nats"); got != "nats://a,nats://b" {
			t.Errorf("got %q", got)
		}
		if bo, err := busOptions(c); err != nil || bo.Replicas != 3 || len(bo.Classes) != 1 ||
			bo.Retention != time.Minute {
			t.Errorf("got %+v, %v", bo, err)
		}
		if config, err := nodeConfig(c); err != nil || config.Edge.SegmentCache != 3<<20 {
			t.Errorf("got %+v, %v", config.Edge, err)
		}
		if ko := kvOptions(c); ko.LeaseTTL != 7*time.Second {
			t.Errorf("got %+v", ko)
		}
	})
	with(t, []string{"--live-replicas=5", "-s", "nats://c"}, func(c *cli.Context) {
		if bo, err := busOptions(c); err != nil || bo.Replicas != 5 || c.String("nats") != "nats://c" {
			t.Errorf("the flag does not win over the variable: %+v, %s", bo, c.String("nats"))
		}
	})
}

func TestRTMPSFlags(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		want node.TLS
		err  error
	}{
		"none": {nil, node.TLS{}, nil},
		"all": {
			[]string{"--rtmps=:443", "--rtmps-cert=c", "--rtmps-key=k"},
			node.TLS{Addr: ":443", CertFile: "c", KeyFile: "k"},
			nil,
		},
		"only the address": {[]string{"--rtmps=:443"}, node.TLS{}, cmdline.ErrUsage},
		"only the files": {
			[]string{"--rtmps-cert=c", "--rtmps-key=k"},
			node.TLS{},
			cmdline.ErrUsage,
		},
		"all without the key": {[]string{"--rtmps=:443", "--rtmps-cert=c"}, node.TLS{}, cmdline.ErrUsage},
	}
	for name, test := range tests {
		with(t, test.args, func(c *cli.Context) {
			if got, err := rtmpsFrom(c); got != test.want || !errors.Is(err, test.err) {
				t.Errorf("%s: got %+v, %v", name, got, err)
			}
		})
	}
}
