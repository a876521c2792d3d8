package objects

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/cmdline"
	"natscast/internal/cli/connect"
	"natscast/internal/cli/term"
	"natscast/internal/media"
	shared "natscast/kv/objects"
)

func setCommand() *cli.Command {
	return &cli.Command{
		Name:      "set",
		Usage:     "set attributes of an object, all together or none",
		ArgsUsage: "OBJECT KEY VALUE [KEY VALUE ...]",
		Description: "natscast objects set live/room title Hello seats 12\n" +
			"natscast objects set --if 42 live/room seats 11\n" +
			"natscast objects set --if 0 live/room owner ann\n\n" +
			"It prints the object's revision. The last KEY has the same one, unless nothing has\n" +
			"changed. A new object becomes persistent.",
		Flags: []cli.Flag{
			&cli.Uint64Flag{
				Name: "if", DefaultText: "any",
				Usage: "only when the last KEY has this `REVISION`, 0 for one that is not there",
			},
			&cli.BoolFlag{
				Name:  "temporary",
				Usage: "let the first user of a new object say whether it is persistent",
			},
			cmdline.JSONFlag("print the object and its revision as JSON"),
		},
		Action: setObject,
	}
}

func setObject(c *cli.Context) error {
	name, pairs, err := objectArguments(c, 3, math.MaxInt)
	if err != nil {
		return err
	}
	edits, err := editsOf(pairs)
	if err != nil {
		return err
	}
	if c.IsSet("if") {
		revision := c.Uint64("if")
		edits[len(edits)-1].If = &revision
	}
	return withCluster(c, func(ctx context.Context, cluster *connect.Cluster) error {
		revision, err := cluster.Store.Objects.Write(ctx, name, shared.Write{Edits: edits})
		if err != nil {
			return explainConflict(ctx, cluster.Store.Objects, name, edits[len(edits)-1], err)
		}
		if !c.Bool("temporary") {
			if err := cluster.Store.Objects.Create(ctx, name); err != nil {
				return err
			}
		}
		return printRevision(c, name, revision)
	})
}

// editsOf makes edits of keys and values.
func editsOf(pairs []string) ([]shared.Edit, error) {
	if len(pairs)%2 != 0 {
		return nil, cmdline.UsageError("objects set: %q has no VALUE", pairs[len(pairs)-1])
	}
	edits := make([]shared.Edit, 0, len(pairs)/2)
	seen := map[string]bool{}
	for i := 0; i < len(pairs); i += 2 {
		key := pairs[i]
		if err := checkKey(key); err != nil {
			return nil, err
		}
		if seen[key] {
			return nil, cmdline.UsageError("objects set: %q is there twice", key)
		}
		seen[key] = true
		value, err := toJSON(pairs[i+1])
		if err != nil {
			return nil, err
		}
		edits = append(edits, shared.Edit{Key: key, Value: value})
	}
	return edits, nil
}

// explainConflict adds the revision of an attribute that was not written because of it.
func explainConflict(
	ctx context.Context, objects *shared.Objects, name media.Name, e shared.Edit, err error,
) error {
	if !errors.Is(err, shared.ErrConflict) || e.If == nil {
		return err
	}
	state, readErr := objects.Read(ctx, name)
	if readErr != nil && !errors.Is(readErr, shared.ErrNoObject) {
		return err
	}
	if readErr == nil {
		if value, revision := state.Get(e.Key); value != nil {
			return fmt.Errorf("%w: %q of %s has revision %d now, not %d",
				shared.ErrConflict, e.Key, name, revision, *e.If)
		}
	}
	return fmt.Errorf("%w: %q of %s is not there now, which is revision 0, not %d",
		shared.ErrConflict, e.Key, name, *e.If)
}

func printRevision(c *cli.Context, name media.Name, revision uint64) error {
	if c.Bool("json") {
		return json.NewEncoder(c.App.Writer).Encode(struct {
			Object   media.Name `json:"object"`
			Revision uint64     `json:"revision"`
		}{name, revision})
	}
	_, err := fmt.Fprintln(c.App.Writer, revision)
	return err
}

func removeCommand() *cli.Command {
	return &cli.Command{
		Name:      "rm",
		Usage:     "remove attributes of an object, all together or none, or the whole object",
		ArgsUsage: "OBJECT [KEY ...]",
		Description: "natscast objects rm live/room title seats\n" +
			"natscast objects rm live/room\n\n" +
			"With KEY it prints the object's revision. A temporary object that is in use loses its\n" +
			"attributes, and stays until its last user has gone.",
		Action: removeObject,
	}
}

func removeObject(c *cli.Context) error {
	name, keys, err := objectArguments(c, 1, math.MaxInt)
	if err != nil {
		return err
	}
	return withCluster(c, func(ctx context.Context, cluster *connect.Cluster) error {
		state, err := cluster.Store.Objects.Read(ctx, name)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			return removeWhole(ctx, c, cluster.Store.Objects, name)
		}
		w := shared.Write{}
		for _, key := range keys {
			if value, _ := state.Get(key); value == nil {
				return errNoAttribute(name, key)
			}
			w.Edits = append(w.Edits, shared.Edit{Key: key})
		}
		revision, err := cluster.Store.Objects.Write(ctx, name, w)
		if err != nil {
			return err
		}
		return printRevision(c, name, revision)
	})
}

// removeWhole removes an object, and says whether it has gone.
func removeWhole(
	ctx context.Context,
	c *cli.Context,
	objects *shared.Objects,
	name media.Name,
) error {
	if err := objects.Delete(ctx, name); err != nil {
		return err
	}
	switch _, err := objects.Read(ctx, name); {
	case errors.Is(err, shared.ErrNoObject):
		fmt.Fprintf(c.App.Writer, "%s is removed\n", name)
	case err != nil:
		return err
	default:
		fmt.Fprintf(c.App.Writer, "%s is empty, and in use\n", name)
	}
	return nil
}

func sendCommand() *cli.Command {
	return &cli.Command{
		Name:      "send",
		Usage:     "call a method at all users of an object",
		ArgsUsage: "OBJECT METHOD [ARG ...]",
		Description: "natscast objects send live/room say Hello 12\n\n" +
			"Arguments are JSON or strings. The call is not kept, and nobody says who has heard it.",
		Action: sendToObject,
	}
}

func sendToObject(c *cli.Context) error {
	name, args, err := objectArguments(c, 2, math.MaxInt)
	if err != nil {
		return err
	}
	call := shared.Call{Method: args[0], Args: []json.RawMessage{}}
	if call.Method == "" {
		return cmdline.UsageError("objects send: METHOD is empty")
	}
	for _, a := range args[1:] {
		value, err := toJSON(a)
		if err != nil {
			return err
		}
		call.Args = append(call.Args, value)
	}
	return withCluster(c, func(ctx context.Context, cluster *connect.Cluster) error {
		if _, err := cluster.Store.Objects.Read(ctx, name); err != nil {
			return err
		}
		if err := cluster.Store.Objects.Send(name, call); err != nil {
			return err
		}
		if err := cluster.Flush(ctx); err != nil {
			return fmt.Errorf("send to %s: %w", name, err)
		}
		fmt.Fprintf(
			c.App.Writer,
			"%s is called at the users of %s\n",
			term.Printable(call.Method),
			name,
		)
		return nil
	})
}
