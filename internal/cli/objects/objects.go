package objects

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/cmdline"
	"natscast/internal/cli/connect"
	"natscast/internal/media"
	shared "natscast/kv/objects"
)

// objectTimeout bounds all commands but watch. A write is tried for a shorter time.
const objectTimeout = 10 * time.Second

// Command is the command of shared objects, with its subcommands.
func Command() *cli.Command {
	command := &cli.Command{
		Name:      "objects",
		Usage:     "list, read, change and watch shared objects",
		ArgsUsage: "COMMAND",
		Description: "natscast objects list\n" +
			"natscast objects set live/room title Hello seats 12\n" +
			"natscast objects get live/room\n" +
			"natscast objects watch --json live/room\n\n" +
			"An object is called APP/NAME or APP/INSTANCE/NAME. RTMP clients of rtmp://host/live know\n" +
			"live/room as \"room\". The values of its attributes are JSON. An argument that is not\n" +
			"JSON is a string. A JSON object with \"$amf\" stands for a value of Flash that JSON does\n" +
			"not have. A revision is a number. Each later change of any object has a higher one.",
		Subcommands: []*cli.Command{
			listCommand(), getCommand(), setCommand(), removeCommand(),
			watchCommand(), sendCommand(),
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return cmdline.UsageError("objects: there is no command %q", c.Args().First())
			}
			return cli.ShowSubcommandHelp(c)
		},
	}
	for _, sub := range command.Subcommands {
		sub.Flags = append(sub.Flags, connect.NATSFlags()...)
	}
	return command
}

// objectArguments returns the object that the first argument names, and the other arguments.
func objectArguments(c *cli.Context, least, most int) (media.Name, []string, error) {
	args, err := cmdline.PlainArguments(c, "objects "+c.Command.Name, least, most)
	if err != nil {
		return "", nil, err
	}
	path := strings.TrimRight(args[0], "/")
	i := strings.LastIndexByte(path, '/')
	name, err := shared.ObjectName(path[:max(i, 0)], path[i+1:])
	if err != nil {
		return "", nil, cmdline.UsageError(
			"%q is not an object, such as live/room: %w",
			args[0],
			err,
		)
	}
	return name, args[1:], nil
}

// checkKey says why a key cannot be that of an attribute.
func checkKey(key string) error {
	if key == "" || len(key) > shared.MaxKey {
		return cmdline.UsageError("KEY has %d bytes, want 1 to %d", len(key), shared.MaxKey)
	}
	return nil
}

// toJSON returns an argument as JSON. One that is not JSON is a string.
func toJSON(argument string) (json.RawMessage, error) {
	if json.Valid([]byte(argument)) {
		return json.RawMessage(argument), nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(argument)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// oneLine is JSON without the spaces and line feeds that mean nothing.
func oneLine(value json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, value) != nil {
		return string(value)
	}
	return b.String()
}

// errNoAttribute says that an object has no such attribute.
func errNoAttribute(name media.Name, key string) error {
	return fmt.Errorf("%s has no attribute %q", name, key)
}

// withCluster is [connect.With] with a context that ends after objectTimeout.
func withCluster(c *cli.Context, do func(context.Context, *connect.Cluster) error) error {
	return connect.With(c, func(cluster *connect.Cluster) error {
		ctx, cancel := context.WithTimeout(c.Context, objectTimeout)
		defer cancel()
		return do(ctx, cluster)
	})
}
