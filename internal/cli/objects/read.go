package objects

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/cmdline"
	"natscast/internal/cli/connect"
	"natscast/internal/cli/term"
	"natscast/internal/media"
	shared "natscast/kv/objects"
)

func listCommand() *cli.Command {
	return &cli.Command{
		Name:      "list",
		Usage:     "list the objects, all or those whose names begin with PREFIX",
		ArgsUsage: "[PREFIX]",
		Description: "natscast objects list\n" +
			"natscast objects list --json live/\n\n" +
			"BYTES is the size of all values as JSON. NODES are the nodes with users of a temporary\n" +
			"object: the object is deleted when its last user has gone.",
		Flags:  []cli.Flag{cmdline.JSONFlag("print a JSON array")},
		Action: listObjects,
	}
}

func listObjects(c *cli.Context) error {
	args, err := cmdline.PlainArguments(c, "objects "+c.Command.Name, 0, 1)
	if err != nil {
		return err
	}
	return withCluster(c, func(ctx context.Context, cluster *connect.Cluster) error {
		objects, err := cluster.Store.Objects.List(ctx)
		if err != nil {
			return err
		}
		nodes, err := cluster.Store.Nodes.List(ctx)
		if err != nil {
			return err
		}
		nothing := "there are no shared objects"
		if len(args) > 0 {
			nothing = "nothing matches"
			objects = slices.DeleteFunc(objects, func(o shared.ObjectInfo) bool {
				return !strings.HasPrefix(string(o.Name), args[0])
			})
		}
		live := connect.Incarnations(nodes)
		for i := range objects {
			objects[i].Nodes = livingNodes(objects[i].Nodes, live)
		}
		if len(objects) == 0 {
			fmt.Fprintln(c.App.ErrWriter, nothing)
		}
		return term.Print(c.App.Writer, c.Bool("json"), objectColumns, objects)
	})
}

var objectColumns = []term.Column[shared.ObjectInfo]{
	{Title: "OBJECT", Cell: func(o shared.ObjectInfo) string { return string(o.Name) }},
	{Title: "PERSISTENCE", Cell: func(o shared.ObjectInfo) string {
		switch {
		case o.Undecided:
			return "undecided"
		case o.Persistent:
			return "persistent"
		}
		return "temporary"
	}},
	{
		Title: "KEYS",
		Right: true,
		Cell:  func(o shared.ObjectInfo) string { return strconv.Itoa(o.Keys) },
	},
	{
		Title: "BYTES",
		Right: true,
		Cell:  func(o shared.ObjectInfo) string { return strconv.Itoa(o.Bytes) },
	},
	{Title: "NODES", Cell: func(o shared.ObjectInfo) string { return strings.Join(o.Nodes, ",") }},
}

// livingNodes returns the ids of the nodes that use an object. A user is NODE.INCARNATION;
// users that have died are left out.
func livingNodes(users []string, live map[string]uint64) []string {
	var ids []string
	for _, user := range users {
		i := strings.LastIndexByte(user, '.')
		if i < 0 {
			continue
		}
		incarnation, err := strconv.ParseUint(user[i+1:], 10, 64)
		if now, ok := live[user[:i]]; err == nil && ok && now == incarnation {
			ids = append(ids, user[:i])
		}
	}
	slices.Sort(ids)
	return ids
}

// objectState is an object in JSON.
type objectState struct {
	Object     media.Name                 `json:"object"`
	Persistent bool                       `json:"persistent"`
	Revision   uint64                     `json:"revision"`
	Attributes map[string]json.RawMessage `json:"attributes"`
}

func newObjectState(s *shared.State) objectState {
	state := objectState{
		Object: s.Name, Persistent: s.Persistent, Revision: s.Revision,
		Attributes: map[string]json.RawMessage{},
	}
	for _, a := range s.All() {
		state.Attributes[a.Key] = a.Value
	}
	return state
}

// attributeState is an attribute in JSON.
type attributeState struct {
	Object   media.Name      `json:"object"`
	Key      string          `json:"key"`
	Value    json.RawMessage `json:"value"`
	Revision uint64          `json:"revision"`
}

func getCommand() *cli.Command {
	return &cli.Command{
		Name:      "get",
		Usage:     "print the attributes of an object, or the value of one of them",
		ArgsUsage: "OBJECT [KEY]",
		Description: "natscast objects get live/room\n" +
			"natscast objects get --json live/room\n" +
			"natscast objects get --raw live/room title\n\n" +
			"With KEY it prints only the value, as JSON.",
		Flags: []cli.Flag{
			cmdline.JSONFlag("print the object as JSON; with KEY, the attribute with its revision"),
			&cli.BoolFlag{
				Name:  "raw",
				Usage: "with KEY: print a string as it is, without quotes and escapes",
			},
		},
		Action: getObject,
	}
}

func getObject(c *cli.Context) error {
	name, keys, err := objectArguments(c, 1, 2)
	switch {
	case err != nil:
		return err
	case c.Bool("raw") && len(keys) == 0:
		return cmdline.UsageError("--raw goes with KEY")
	case c.Bool("raw") && c.Bool("json"):
		return cmdline.UsageError("--raw and --json exclude each other")
	}
	return withCluster(c, func(ctx context.Context, cluster *connect.Cluster) error {
		state, err := cluster.Store.Objects.Read(ctx, name)
		switch {
		case err != nil:
			return err
		case len(keys) > 0:
			return printAttribute(c, state, keys[0])
		case c.Bool("json"):
			return json.NewEncoder(c.App.Writer).Encode(newObjectState(state))
		}
		return writeAttributes(c.App.Writer, state.All())
	})
}

func printAttribute(c *cli.Context, state *shared.State, key string) error {
	value, revision := state.Get(key)
	if value == nil {
		return errNoAttribute(state.Name, key)
	}
	if c.Bool("json") {
		return json.NewEncoder(
			c.App.Writer,
		).Encode(
			attributeState{state.Name, key, value, revision},
		)
	}
	line := oneLine(value)
	var text string
	if c.Bool("raw") && strings.HasPrefix(line, `"`) && json.Unmarshal(value, &text) == nil {
		line = text
	}
	_, err := fmt.Fprintln(c.App.Writer, line)
	return err
}

// writeAttributes writes a table. Values are the last column: they may be long.
func writeAttributes(w io.Writer, attributes []shared.Attribute) error {
	return term.Print(w, false, []term.Column[shared.Attribute]{
		{Title: "KEY", Cell: func(a shared.Attribute) string { return a.Key }},
		{Title: "REVISION", Right: true, Cell: func(a shared.Attribute) string {
			return strconv.FormatUint(a.Revision, 10)
		}},
		{Title: "VALUE", Cell: func(a shared.Attribute) string { return oneLine(a.Value) }},
	}, attributes)
}
