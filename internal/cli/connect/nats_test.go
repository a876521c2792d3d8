package connect

import (
	"io"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/urfave/cli/v2"

	"natscast/internal/cli/clitest"
	"natscast/internal/cli/cmdline"
)

func TestNATSOptions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		ok   func(nats.Options) bool
	}{
		"none": {
			nil,
			func(o nats.Options) bool { return o.User == "" && o.Token == "" && !o.Secure },
		},
		"user": {
			[]string{"--user=u", "--password=p"},
			func(o nats.Options) bool { return o.User == "u" && o.Password == "p" },
		},
		"token": {
			[]string{"--user=t"},
			func(o nats.Options) bool { return o.User == "" && o.Token == "t" },
		},
		"creds": {
			[]string{"--creds=/dev/null"},
			func(o nats.Options) bool { return o.UserJWT != nil && o.SignatureCB != nil },
		},
		"TLS": {
			[]string{"--tlscert=/dev/null", "--tlskey=/dev/null", "--tlsca=/dev/null"},
			func(o nats.Options) bool { return o.TLSConfig != nil },
		},
		"TLSFirst": {[]string{"--tlsfirst"}, func(o nats.Options) bool { return o.TLSHandshakeFirst }},
	}
	for name, test := range tests {
		command := &cli.Command{Name: "x", Flags: NATSFlags(), Action: func(c *cli.Context) error {
			options, err := NATSOptions(c)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			got := nats.GetDefaultOptions()
			for _, option := range options {
				// The files are empty; what counts is that they are asked for.
				_ = option(&got)
			}
			if !test.ok(got) {
				t.Errorf("%s: the options do not say so", name)
			}
			return nil
		}}
		app := cmdline.NewApp(command)
		args := append([]string{"x"}, test.args...)
		if err := clitest.RunApp(t.Context(), app, io.Discard, io.Discard, args...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
