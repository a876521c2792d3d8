package objects

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"natscast/internal/cli/clitest"
	"natscast/internal/cli/cmdline"
	"natscast/internal/eventually"
	"natscast/internal/media"
	"natscast/internal/natstest"
	shared "natscast/kv/objects"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var all = clitest.One(Command)

// cluster is a cluster on whose NATS commands of objects are run.
type cluster struct{ *clitest.Cluster }

func startCluster(t *testing.T) cluster {
	t.Helper()
	return cluster{clitest.StartCluster(t)}
}

func (tc cluster) args(command string, args []string) []string {
	return append([]string{"objects", command, "--nats", tc.URL}, args...)
}

// try runs a command.
func (tc cluster) try(
	t *testing.T, command string, args ...string,
) (stdout, stderr string, err error) {
	t.Helper()
	return all.Run(t.Context(), tc.args(command, args)...)
}

// run runs a command, and wants it to do well.
func (tc cluster) run(t *testing.T, command string, args ...string) (stdout string) {
	t.Helper()
	stdout, _, err := tc.try(t, command, args...)
	if err != nil {
		t.Fatalf("objects %s %q: %v", command, args, err)
	}
	return stdout
}

// fail wants a command to fail, with an error that says all of what is wanted in one line.
func (tc cluster) fail(t *testing.T, says []string, command string, args ...string) {
	t.Helper()
	stdout, _, err := tc.try(t, command, args...)
	clitest.CheckFailure(t, append([]string{command}, args...), says, err)
	if stdout != "" {
		t.Errorf("objects %s %q: printed %q", command, args, stdout)
	}
}

// watch watches an object until it is stopped.
func (tc cluster) watch(t *testing.T, args ...string) *clitest.Running {
	t.Helper()
	return all.Start(t, tc.args("watch", args)...)
}

// use makes the cluster's member a user of an object, and returns what that hears.
func (tc cluster) use(t *testing.T, name media.Name) *watcher {
	t.Helper()
	w := newWatcher()
	object := tc.Store.Objects.Follow(name, shared.AnyPersistence, w)
	t.Cleanup(object.Close)
	if o := <-w.opened; o.err != nil {
		t.Fatal(o.err)
	}
	return w
}

// names are those that 'objects list' lists.
func (tc cluster) names(t *testing.T) []string {
	t.Helper()
	var list []shared.ObjectInfo
	if err := json.Unmarshal([]byte(tc.run(t, "list", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, o := range list {
		names = append(names, string(o.Name))
	}
	return names
}

// TestObjects counts on revisions: to become persistent takes a new object one of its own.
func TestObjects(t *testing.T) {
	t.Parallel()
	tc := startCluster(t)
	const date = `{"$amf":"date","ms":1}`
	pairs := []string{"title", "Hello", "seats", "[1, 2]", "low", "-5", "date", date}
	stdout := tc.run(t, "set", append([]string{"live/room"}, pairs...)...)
	if stdout != "4\n" {
		t.Errorf("set: %q", stdout)
	}
	clitest.CheckTable(t, "get", tc.run(t, "get", "/live//room/"),
		"KEY|REVISION|VALUE", "date|4|"+date, "low|3|-5", "seats|2|[1,2]", `title|1|"Hello"`)
	tests := []struct{ args, want string }{
		{"get live/room title", `"Hello"`},
		{"get --raw live/room title", "Hello"},
		{"get --raw live/room seats", "[1,2]"},
		{"get live/room date", date},
		{"set live/room low -5", "4"},
		{"set --if 3 live/room low -6", "6"},
		{"set --if 0 live/room new 1", "7"},
		{"set --if 7 --json live/room title Bye new 2", `{"object":"live/room","revision":9}`},
		{"rm live/room low seats", "11"},
		{"set --temporary app/instance/x k v", "12"},
		{"send live/room move -1 {}", "move is called at the users of live/room"},
	}
	for _, test := range tests {
		args := strings.Fields(test.args)
		if got := tc.run(t, args[0], args[1:]...); got != test.want+"\n" {
			t.Errorf("%s: %q, want %q", test.args, got, test.want)
		}
	}
	clitest.CheckTable(
		t, "list", tc.run(t, "list"), "OBJECT|PERSISTENCE|KEYS|BYTES|NODES",
		"app/instance/x|undecided|1|3|-",
		"live/room|persistent|3|"+strconv.Itoa(len(date)+len(`"Bye"`)+1)+"|-",
	)
	clitest.CheckTable(
		t, "list live/", tc.run(t, "list", "live/"), "OBJECT|PERSISTENCE|KEYS|BYTES|NODES",
		"live/room|persistent|3|*|-",
	)
	if got := tc.run(t, "rm", "live/room"); got != "live/room is removed\n" {
		t.Errorf("rm: %q", got)
	}
	if got := tc.names(t); !slices.Equal(got, []string{"app/instance/x"}) {
		t.Errorf("left: %q", got)
	}
}

func TestObjectsJSON(t *testing.T) {
	t.Parallel()
	tc := startCluster(t)
	tc.run(t, "set", "live/room", "b", "{}", "a", "<1>")
	var list []shared.ObjectInfo
	var state objectState
	var attribute attributeState
	for args, into := range map[string]any{
		"list --json":            &list,
		"get --json live/room":   &state,
		"get --json live/room b": &attribute,
	} {
		words := strings.Fields(args)
		if err := json.Unmarshal([]byte(tc.run(t, words[0], words[1:]...)), into); err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
	if len(list) != 1 || list[0].Name != "live/room" || !list[0].Persistent || list[0].Keys != 2 ||
		list[0].Bytes != 7 {
		t.Errorf("list: %+v", list)
	}
	var a string
	if err := json.Unmarshal(state.Attributes["a"], &a); err != nil || a != "<1>" {
		t.Errorf("a: %s", state.Attributes["a"])
	}
	if state.Object != "live/room" || !state.Persistent || state.Revision != 2 ||
		len(state.Attributes) != 2 {
		t.Errorf("get: %+v", state)
	}
	if attribute.Key != "b" || string(attribute.Value) != "{}" || attribute.Revision != 1 {
		t.Errorf("get b: %+v", attribute)
	}
}

func TestObjectsNothing(t *testing.T) {
	t.Parallel()
	tc := startCluster(t)
	for args, says := range map[string]string{
		"": "there are no shared objects\n", "live/": "nothing matches\n",
	} {
		stdout, stderr, err := tc.try(t, "list", strings.Fields("--json "+args)...)
		if err != nil || stdout != "[]\n" || stderr != says {
			t.Errorf("%q: %v, %q, %q", args, err, stdout, stderr)
		}
	}
	missing := []string{shared.ErrNoObject.Error(), "live/none"}
	tc.fail(t, missing, "get", "live/none")
	tc.fail(t, missing, "get", "live/none", "key")
	tc.fail(t, missing, "rm", "live/none")
	tc.fail(t, missing, "rm", "live/none", "key")
	tc.fail(t, missing, "send", "live/none", "move")

	tc.run(t, "set", "live/room", "k", "v")
	missing = []string{"live/room", "none"}
	tc.fail(t, missing, "get", "live/room", "none")
	tc.fail(t, missing, "rm", "live/room", "k", "none")
	if got := tc.run(t, "get", "live/room", "k"); got != "\"v\"\n" {
		t.Errorf("k: %q", got)
	}
}

func TestObjectsConflict(t *testing.T) {
	t.Parallel()
	tc := startCluster(t)
	tc.fail(
		t, []string{shared.ErrConflict.Error(), `"k" of live/room is not there`, "revision 0, not 7"}, "set",
		"--if", "7", "live/room", "k", "v",
	)
	if got := tc.names(t); len(got) != 0 {
		t.Errorf("a conflict made %q", got)
	}
	tc.run(t, "set", "live/room", "k", "v", "other", "1")
	tc.fail(
		t, []string{shared.ErrConflict.Error(), `"k" of live/room has revision 1 now, not 0`}, "set", "--if",
		"0", "live/room", "other", "2", "k", "w",
	)
	tc.fail(
		t, []string{shared.ErrLimit.Error(), "live/room"}, "set", "live/room", "k",
		strings.Repeat("x", shared.MaxValue),
	)
	clitest.CheckTable(
		t, "unchanged", tc.run(t, "get", "live/room"), "KEY|REVISION|VALUE", `k|1|"v"`, "other|2|1",
	)
}

// TestObjectsInUse has a node with users.
func TestObjectsInUse(t *testing.T) {
	t.Parallel()
	tc := startCluster(t)
	tc.Join(t, clitest.EdgeNode("edge-a"))
	user := tc.use(t, "live/room")
	tc.run(t, "set", "live/room", "k", "v")
	clitest.CheckTable(
		t, "list", tc.run(t, "list"), "OBJECT|PERSISTENCE|KEYS|BYTES|NODES",
		"live/room|temporary|1|3|edge-a",
	)
	tc.run(t, "send", "live/room", "move", "-1", "left")
	if got := tc.run(t, "rm", "live/room"); got != "live/room is empty, and in use\n" {
		t.Errorf("rm: %q", got)
	}
	var heard []string
	eventually.True(t, "the user hears all", func() bool {
		for _, e := range user.take() {
			heard = append(heard, e.Type+" "+e.Key+e.Method+eventValue(e))
		}
		return len(heard) == 3
	})
	slices.Sort(heard) // a call may overtake a change that comes later
	want := []string{"change k\"v\"", "clear ", "send move[-1,\"left\"]"}
	if !slices.Equal(heard, want) {
		t.Errorf("heard %q, want %q", heard, want)
	}
}

func TestLivingNodes(t *testing.T) {
	t.Parallel()
	live := map[string]uint64{"b": 2, "a.x": 1, "c": 0}
	got := livingNodes([]string{"b.2", "a.x.1", "b.1", "dead.1", "c.", "c.no", "c"}, live)
	if !slices.Equal(got, []string{"a.x", "b"}) {
		t.Errorf("%q", got)
	}
}

// TestObjectsWatch watches an object from before it is there until it has gone.
func TestObjectsWatch(t *testing.T) {
	t.Parallel()
	tc := startCluster(t)
	w := tc.watch(t, "live/room")
	w.Sees(t, "EVENT|KEY|REVISION|VALUE")
	if says := w.Stderr.String(); says != "live/room is not there yet\n" {
		t.Errorf("on the standard error: %q", says)
	}
	if got := tc.names(t); len(got) != 0 {
		t.Errorf("watching made %q", got)
	}
	tc.run(t, "set", "live/room", "title", "a\x1b[2J", "seats", "[1, 2]")
	w.Sees(t, `change|title|1|"a\u001b[2J"`)
	w.Sees(t, "change|seats|2|[1,2]")
	tc.run(t, "rm", "live/room", "title")
	w.Sees(t, "remove|title|4|-")
	tc.run(t, "send", "live/room", "move", "-1", "{\"a\": 1}")
	w.Sees(t, `send|move|4|[-1,{"a":1}]`)
	second := tc.watch(t, "live/room")
	second.Sees(t, "snapshot|seats|2|[1,2]")
	tc.run(t, "rm", "live/room")
	w.Sees(t, "clear|-")
	second.Sees(t, "clear|-")
	for _, w := range []*clitest.Running{w, second} {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
	}
	if says := second.Stderr.String(); says != "" {
		t.Errorf("on the standard error: %q", says)
	}
}

func TestObjectsWatchJSON(t *testing.T) {
	t.Parallel()
	tc := startCluster(t)
	tc.run(t, "set", "live/room", "k", "1")
	w := tc.watch(t, "--json", "live/room")
	after := func(n int) {
		eventually.True(
			t, strconv.Itoa(n)+" lines", func() bool { return strings.Count(w.Stdout.String(), "\n") == n },
		)
	}
	after(1)
	for i, args := range []string{
		"set live/room k {}", "rm live/room k", "send live/room move", "set live/room x null",
		"rm live/room",
	} {
		words := strings.Fields(args)
		tc.run(t, words[0], words[1:]...)
		after(i + 2)
	}
	if err := w.Stop(); err != nil {
		t.Error(err)
	}
	lines := strings.Split(strings.TrimSpace(w.Stdout.String()), "\n")
	clear := lines[len(lines)-1]
	var event event
	if err := json.Unmarshal([]byte(clear), &event); err != nil || event.Type != eventClear ||
		event.Revision <= 5 ||
		len(lines) != 6 {
		t.Fatalf("%v: %q", err, lines)
	}
	want := []string{
		`{"type":"snapshot","object":"live/room","persistent":true,"revision":1,"attributes":{"k":1}}`,
		`{"type":"change","key":"k","value":{},"revision":3}`,
		`{"type":"remove","key":"k","revision":4}`,
		`{"type":"send","method":"move","args":[],"revision":4}`,
		`{"type":"change","key":"x","value":null,"revision":5}`,
	}
	if got := lines[:5]; !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestObjectWatcherClear is told of a clear that has left something.
func TestObjectWatcherClear(t *testing.T) {
	t.Parallel()
	tc := startCluster(t)
	tc.run(t, "set", "live/room", "late", "1")
	state, err := tc.Store.Objects.Read(t.Context(), "live/room")
	if err != nil {
		t.Fatal(err)
	}
	w := newWatcher()
	w.Changed(state, shared.Update{Cleared: true})
	if got := w.take(); len(got) != 2 || got[0].Type != eventClear || got[1].Type != eventChange ||
		got[1].Key != "late" {
		t.Errorf("%+v", got)
	}
}

func TestObjectsUsage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args []string
		says string
	}{
		{[]string{"fly"}, `"fly"`},
		{[]string{"list", "a", "b"}, `"b"`},
		{[]string{"list", "--fly"}, "-fly"},
		{[]string{"get"}, "OBJECT [KEY]"},
		{[]string{"get", "live"}, `"live"`},
		{[]string{"get", ""}, `""`},
		{[]string{"get", "live/../x"}, "live/room"},
		{[]string{"get", "live/x", "a", "b"}, `"b"`},
		{[]string{"get", "live/x", "--json"}, "flags stand before arguments"},
		{[]string{"get", "--raw", "live/x"}, "--raw goes with KEY"},
		{[]string{"get", "--raw", "--json", "live/x", "a"}, "--raw and --json"},
		{[]string{"set", "live/x", "a"}, "KEY VALUE"},
		{[]string{"set", "live/x", "a", "1", "b"}, `"b" has no VALUE`},
		{[]string{"set", "live/x", "a", "1", "a", "2"}, `"a"`},
		{[]string{"set", "live/x", "", "1"}, "KEY"},
		{[]string{"set", "live/x", strings.Repeat("k", shared.MaxKey+1), "1"}, "257 bytes"},
		{[]string{"set", "--if", "-1", "live/x", "a", "1"}, "if"},
		{[]string{"set", "live/x", "a", "1", "--if=1", "b"}, "flags stand before arguments"},
		{[]string{"rm"}, "OBJECT"},
		{[]string{"watch", "live/x", "a"}, `"a"`},
		{[]string{"send", "live/x"}, "METHOD"},
		{[]string{"send", "live/x", ""}, "METHOD"},
	}
	for _, test := range tests {
		stdout, _, err := all.Run(t.Context(), append([]string{"objects"}, test.args...)...)
		clitest.CheckUsage(t, test.args, test.says, stdout, err)
	}
}

func TestObjectsNoCluster(t *testing.T) {
	t.Parallel()
	s := natstest.Server(t, -1)
	tc := cluster{&clitest.Cluster{URL: s.URL()}}
	for _, args := range []string{
		"list", "get live/x", "set live/x k v", "rm live/x", "watch live/x", "send live/x move",
	} {
		words := strings.Fields(args)
		tc.fail(t, []string{"no natscast cluster", s.URL()}, words[0], words[1:]...)
	}
}

// TestObjectsHelp looks for an example and the variables of the flags in the help of every command.
func TestObjectsHelp(t *testing.T) {
	t.Parallel()
	list, _, err := all.Run(t.Context(), "objects")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range Command().Subcommands {
		help, _, err := all.Run(t.Context(), "objects", command.Name, "--help")
		if err != nil {
			t.Errorf("%s: %v", command.Name, err)
		}
		if !strings.Contains(list, "  "+command.Name) ||
			!strings.Contains(help, "   natscast objects "+command.Name+" ") {
			t.Errorf("%s is not explained:\n%s\n%s", command.Name, list, help)
		}
		for _, flag := range command.Flags {
			if name := flag.Names()[0]; !strings.Contains(help, "[$"+cmdline.Env(name)+"]") {
				t.Errorf("%s --%s has no variable", command.Name, name)
			}
		}
	}
}
