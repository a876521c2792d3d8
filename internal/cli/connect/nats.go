package connect

import (
	"fmt"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/urfave/cli/v2"

	"natscast/internal/cli/cmdline"
)

const categoryNATS = "NATS"

// NATSFlags say how to reach NATS. They have the names that the nats command line gives them.
func NATSFlags() []cli.Flag {
	str := func(name, usage string) cli.Flag {
		return &cli.StringFlag{Name: name, Usage: usage, Category: categoryNATS}
	}
	return []cli.Flag{
		&cli.StringFlag{
			Name: "nats", Aliases: []string{"server", "s"}, Value: nats.DefaultURL,
			Usage: "`URLS` of the servers, separated by commas", Category: categoryNATS,
		},
		str("creds", "`FILE` with a user's JWT and seed"),
		str("nkey", "`FILE` with a user's NKey seed"),
		str("user", "user name, or a token"),
		str("password", "password of the user"),
		str("tlscert", "`FILE` with the client's TLS certificate"),
		str("tlskey", "`FILE` with the client's TLS key"),
		str("tlsca", "`FILE` with the certificate authorities of the servers' certificates"),
		&cli.BoolFlag{
			Name: "tlsfirst", Category: categoryNATS,
			Usage: "do the TLS handshake before the server says anything",
		},
	}
}

// NATSOptions turns the flags into options of the NATS client.
func NATSOptions(c *cli.Context) ([]nats.Option, error) {
	var options []nats.Option
	if f := c.String("creds"); f != "" {
		options = append(options, nats.UserCredentials(f))
	}
	if f := c.String("nkey"); f != "" {
		option, err := nats.NkeyOptionFromSeed(f)
		if err != nil {
			return nil, fmt.Errorf("--nkey %s: %w", f, err)
		}
		options = append(options, option)
	}
	switch user, password := c.String("user"), c.String("password"); {
	case user != "" && password != "":
		options = append(options, nats.UserInfo(user, password))
	case user != "":
		options = append(options, nats.Token(user))
	case password != "":
		return nil, cmdline.UsageError("--password without --user")
	}
	switch cert, key := c.String("tlscert"), c.String("tlskey"); {
	case cert != "" && key != "":
		options = append(options, nats.ClientCert(cert, key))
	case cert != "" || key != "":
		return nil, cmdline.UsageError("--tlscert and --tlskey go together")
	}
	if f := c.String("tlsca"); f != "" {
		options = append(options, nats.RootCAs(f))
	}
	if c.Bool("tlsfirst") {
		options = append(options, nats.TLSHandshakeFirst())
	}
	for _, flag := range []string{"creds", "tlscert", "tlskey", "tlsca"} {
		if err := readable(c.String(flag)); err != nil {
			return nil, fmt.Errorf("--%s: %w", flag, err)
		}
	}
	return options, nil
}

// readable says why a file cannot be read; "" is no file. The NATS client would say it as if
// a server had failed.
func readable(file string) error {
	if file == "" {
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	return f.Close()
}
