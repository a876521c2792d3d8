package arrows

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "natscast/"
	root   = "../.."
	joy4   = "github.com/nareix/joy4/"
)

// arrow forbids imports. A path stands for itself, and with /... for everything below it
// too. Paths of this module in from and except are relative to it.
type arrow struct {
	from     []string
	except   []string // packages to which the rule does not apply
	inTests  bool     // forbidden in tests too
	to       []string
	but      []string // imports that are allowed all the same
	because  string
	breaking string // an import that the rule must catch, as "file imports path"
}

// commands are the rooms of internal/cli that have commands.
var commands = []string{
	"internal/cli/about", "internal/cli/manage", "internal/cli/media", "internal/cli/objects",
	"internal/cli/serve", "internal/cli/show", "internal/cli/simulate",
}

var forbidden = []arrow{
	{
		from:     []string{"cmd/natscast/..."},
		to:       []string{module + "..."},
		but:      []string{module + "internal/cli/...", module + "internal/node/..."},
		because:  "the command is thin: it lists commands whose work is in internal/cli",
		breaking: "cmd/natscast/x.go imports natscast/bus",
	},
	{
		from:     []string{"cmd/natscast/..."},
		to:       []string{"github.com/...", "golang.org/...", "go.uber.org/..."},
		but:      []string{"github.com/urfave/cli/..."},
		because:  "the command is thin: it lists commands whose work is in internal/cli",
		breaking: "cmd/natscast/x.go imports golang.org/x/sys/unix",
	},
	{
		from: []string{"..."}, except: []string{"cmd/natscast/...", "internal/cli/..."}, inTests: true,
		to:       []string{module + "internal/cli/..."},
		because:  "commands are for the command line alone",
		breaking: "internal/node/x_test.go imports natscast/internal/cli/serve",
	},
	{
		from: []string{"..."}, inTests: true,
		except:   []string{"cmd/natscast/...", "internal/cli/...", "integration/..."},
		to:       []string{module + "internal/node/..."},
		because:  "the node stands on the roles, and they do not know how they are put together",
		breaking: "edge/x_test.go imports natscast/internal/node",
	},
	{
		from: []string{"internal/cli/cmdline", "internal/cli/term"},
		to: []string{
			module + "internal/cli/...", module + "internal/node/...",
			module + "edge/...", module + "origin/...", module + "bus/...", module + "kv/...",
		},
		because:  "all commands stand on these two rooms, which know no command and no cluster",
		breaking: "internal/cli/term/x.go imports natscast/kv",
	},
	{
		from:     []string{"internal/cli/connect"},
		to:       []string{module + "internal/cli/...", module + "internal/node/..."},
		but:      []string{module + "internal/cli/cmdline"},
		because:  "commands stand on the connection to the cluster",
		breaking: "internal/cli/connect/x.go imports natscast/internal/cli/show",
	},
	{
		from: commands, inTests: true,
		to:       inModule(commands),
		because:  "a command does not know another one: what two of them need is in a room below",
		breaking: "internal/cli/show/x.go imports natscast/internal/cli/objects",
	},
	{
		from:     []string{"edge"},
		to:       []string{module + "origin/..."},
		because:  "edge declares the Ingester that it needs, and media reaches it over the bus alone",
		breaking: "edge/x.go imports natscast/origin",
	},
	{
		from:     []string{"edge/conn"},
		to:       []string{module + "..."},
		but:      []string{module + "internal/reason"},
		because:  "it knows sockets and bytes, and nothing of what they carry",
		breaking: "edge/conn/x.go imports natscast/internal/rtmp/chunk",
	},
	{
		from: []string{"edge/..."}, except: []string{"edge"},
		to:       []string{module + "edge"},
		because:  "the rooms of the edge do not know the door that puts them together",
		breaking: "edge/web/x.go imports natscast/edge",
	},
	{
		from: []string{"edge/live"}, inTests: true,
		to: []string{
			module + "edge/vod", module + "edge/objects", module + "edge/web", module + "edge/guest",
		},
		because:  "what is live and what is not meet in their player",
		breaking: "edge/live/x.go imports natscast/edge/vod",
	},
	{
		from: []string{"edge/vod"}, inTests: true,
		to: []string{
			module + "edge/live", module + "edge/objects", module + "edge/web", module + "edge/guest",
		},
		because:  "what is live and what is not meet in their player",
		breaking: "edge/vod/x.go imports natscast/edge/live",
	},
	{
		from: []string{"edge/wire", "edge/hotness", "edge/guest", "edge/router"}, inTests: true,
		to: []string{
			module + "edge/live", module + "edge/vod", module + "edge/conn",
			module + "edge/objects", module + "edge/web",
		},
		because:  "the other rooms stand on them",
		breaking: "edge/wire/x.go imports natscast/edge/live",
	},
	{
		from: []string{"edge/objects"},
		to: []string{
			module + "edge/...", "net/http", "github.com/gobwas/...",
		},
		because:  "an object's clients meet in it, whatever they speak; HTTP is the room beside it",
		breaking: "edge/objects/x.go imports natscast/edge/objects/webobjects",
	},
	{
		from:     []string{"edge/live", "edge/vod", "edge/wire", "edge/hotness", "edge/objects"},
		to:       []string{module + "internal/rtmp/client", module + "edge/web"},
		because:  "they send what they have, and know no protocol's words but shared objects' own",
		breaking: "edge/live/x.go imports natscast/edge/web",
	},
	{
		from: []string{"edge/web"}, inTests: true,
		to:       []string{module + "edge/live", module + "edge/vod", module + "edge/conn", module + "edge/wire"},
		because:  "HTTP asks the edge, through interfaces of its own",
		breaking: "edge/web/x.go imports natscast/edge/live",
	},
	{
		from: []string{"origin/..."}, inTests: true,
		to:       []string{module + "edge/..."},
		because:  "origin and edge meet on the bus",
		breaking: "origin/x_test.go imports natscast/edge",
	},
	{
		from: []string{"bus", "kv"}, inTests: true,
		to:       []string{module + "edge/...", module + "origin/..."},
		because:  "the roles stand on bus and kv",
		breaking: "kv/x_test.go imports natscast/edge",
	},
	{
		from: []string{"bus/..."}, inTests: true,
		to:       []string{module + "kv/..."},
		because:  "media does not wait for shared state: one of the two can fail alone",
		breaking: "bus/x.go imports natscast/kv",
	},
	{
		from: []string{"bus/static", "bus/direct", "bus/peers"}, inTests: true,
		to:       []string{module + "bus"},
		because:  "the bus stands on them: files do not need live media, nor asking and answering",
		breaking: "bus/static/x.go imports natscast/bus",
	},
	{
		from: []string{"bus/direct", "bus/peers"}, inTests: true,
		to:       []string{module + "bus/static"},
		because:  "asking and answering know nothing of what is asked",
		breaking: "bus/direct/x.go imports natscast/bus/static",
	},
	{
		from: []string{"internal/natsconn", "internal/natsserver"}, inTests: true,
		to:       []string{module + "internal/provision", module + "internal/media"},
		because:  "a connection knows nothing of what goes over it",
		breaking: "internal/natsconn/x.go imports natscast/internal/media",
	},
	{
		from: []string{"kv/objects/replica"}, inTests: true,
		to: []string{
			"github.com/...", "golang.org/...", module + "kv", module + "kv/bucket",
			module + "kv/objects",
		},
		because:  "what a node knows of an object does not depend on where it is stored",
		breaking: "kv/objects/replica/x_test.go imports github.com/nats-io/nats.go",
	},
	{
		from: []string{"..."}, except: []string{"internal/clustertest", "internal/cli/clitest"},
		to:       []string{module + "internal/natstest", module + "internal/clustertest"},
		because:  "they are for tests",
		breaking: "bus/x.go imports natscast/internal/natstest",
	},
	{
		from:     []string{"origin/library", "origin/recorder"},
		to:       []string{module + "origin", module + "origin/library", module + "origin/recorder"},
		because:  "what offers files, what writes them and what takes publishers stand beside each other",
		breaking: "origin/recorder/x.go imports natscast/origin/library",
	},
	{
		from: []string{"kv/objects", "kv/bucket"}, inTests: true,
		to:       []string{module + "kv"},
		because:  "shared objects and the cluster's state stand beside each other, on kv/bucket",
		breaking: "kv/objects/x_test.go imports natscast/kv",
	},
	{
		from: []string{"kv/..."}, inTests: true,
		to:       []string{module + "bus/..."},
		because:  "shared state needs a connection to NATS, and nothing of the media on it",
		breaking: "kv/x.go imports natscast/bus",
	},
	{
		from: []string{"internal/..."}, inTests: true,
		except: []string{"internal/cli/...", "internal/node/...", "internal/clustertest"},
		to: []string{
			module + "edge/...", module + "origin/...", module + "bus/...", module + "kv/...",
			module + "cmd/...",
		},
		because:  "internal packages know formats and protocols; a node and commands know the cluster",
		breaking: "internal/rtmp/client/x_test.go imports natscast/bus",
	},
	{
		from: []string{"..."}, inTests: true,
		except: []string{
			"bus/...", "kv/...", "internal/provision/...", "internal/nodeapi/...", "integration/...",
			"internal/natsconn/...", "internal/natsserver/...", "internal/natstest/...",
			"internal/cli/connect/...", "internal/cli/clitest/...",
		},
		to: []string{"github.com/nats-io/..."},
		because: "only bus and kv speak NATS, with what connects to it, and with what makes the " +
			"streams of both",
		breaking: "edge/x.go imports github.com/nats-io/nats.go/jetstream",
	},
	{
		from: []string{"..."}, except: []string{"internal/mediainfo/...", "integration/..."},
		to:       []string{joy4 + "..."},
		because:  "joy4 reads AVC and AAC codec configurations, for mediainfo; the rest has peers of its own",
		breaking: "edge/x.go imports github.com/nareix/joy4/codec/h264parser",
	},
	{
		from:     []string{"internal/mediainfo/..."},
		to:       []string{joy4 + "..."},
		but:      []string{joy4 + "codec/h264parser", joy4 + "codec/aacparser"},
		because:  "these two parsers were fuzzed; the rest of joy4 was not, or loses media",
		breaking: "internal/mediainfo/x.go imports github.com/nareix/joy4/format/flv/flvio",
	},
	{
		from: []string{"..."}, except: []string{"integration/..."},
		to:       []string{joy4 + "format/rtmp"},
		because:  "joy4's RTMP client is a peer in tests: no deadlines, only H.264 and AAC",
		breaking: "internal/push/x.go imports github.com/nareix/joy4/format/rtmp",
	},
	{
		from: []string{"..."}, except: []string{"integration/..."}, inTests: true,
		to: []string{
			joy4 + "format/ts", joy4 + "format/mp4/...", joy4 + "format", joy4 + "av/pubsub",
		},
		because:  "they lose media, crash on hostile files, or register an RTSP client",
		breaking: "internal/flv/x_test.go imports github.com/nareix/joy4/format/mp4",
	},
	{
		from: []string{"..."},
		to:   []string{"github.com/bluenviron/gortmplib/..."},
		because: "it is an independent peer for tests: " +
			"a connect command of some megabytes ends the process that serves it",
		breaking: "edge/x.go imports github.com/bluenviron/gortmplib",
	},
}

// inModule makes import paths of paths that are relative to the module.
func inModule(paths []string) []string {
	imports := make([]string, len(paths))
	for i, p := range paths {
		imports[i] = module + p
	}
	return imports
}

func (a arrow) forbids(file, imported string) bool {
	pkg := path.Dir(filepath.ToSlash(file))
	if strings.HasSuffix(file, "_test.go") && !a.inTests {
		return false
	}
	return matches(a.from, pkg) && !matches(a.except, pkg) &&
		matches(a.to, imported) && !matches(a.but, imported)
}

func matches(patterns []string, pkg string) bool {
	for _, p := range patterns {
		base, below := strings.CutSuffix(p, "...")
		base = strings.TrimSuffix(base, "/")
		if pkg == base || below && (base == "" || strings.HasPrefix(pkg, base+"/")) {
			return true
		}
	}
	return false
}

// files calls check with each Go file of the module and its path.
func files(t *testing.T, mode parser.Mode, check func(file string, syntax *ast.File)) {
	t.Helper()
	n := 0
	err := fs.WalkDir(os.DirFS(root), ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || path.Ext(file) != ".go" {
			return err
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, mode)
		if err != nil {
			return err
		}
		n++
		check(file, syntax)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		t.Fatal("found no Go files")
	}
}

func TestImports(t *testing.T) {
	t.Parallel()
	files(t, parser.ImportsOnly, func(file string, syntax *ast.File) {
		for _, spec := range syntax.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range forbidden {
				if a.forbids(file, imported) {
					t.Errorf("%s imports %s: %s", file, imported, a.because)
				}
			}
		}
	})
}

// TestTable breaks each rule once, and checks that the rules are about packages that exist.
func TestTable(t *testing.T) {
	t.Parallel()
	for _, a := range forbidden {
		file, imported, _ := strings.Cut(a.breaking, " imports ")
		if !a.forbids(file, imported) {
			t.Errorf("%q is not caught", a.breaking)
		}
		for _, p := range slices.Concat(a.from, a.except) {
			dir := strings.TrimSuffix(strings.TrimSuffix(p, "..."), "/")
			if _, err := os.Stat(filepath.Join(root, dir)); err != nil {
				t.Errorf("%q: %v", a.because, err)
			}
		}
	}
}

// TestNoJoy4Server looks for uses of joy4's RTMP server. One message of a client can kill
// that server, and the process with it.
func TestNoJoy4Server(t *testing.T) {
	t.Parallel()
	files(t, parser.SkipObjectResolution, func(file string, syntax *ast.File) {
		name := importedAs(syntax, joy4+"format/rtmp")
		if name == "" {
			return
		}
		ast.Inspect(syntax, func(n ast.Node) bool {
			use, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := use.X.(*ast.Ident); ok && pkg.Name == name && use.Sel.Name == "Server" {
				t.Errorf("%s uses the server of joy4", file)
			}
			return true
		})
	})
}

// importedAs returns the name under which a file uses a package, or "".
func importedAs(syntax *ast.File, imported string) string {
	for _, spec := range syntax.Imports {
		if spec.Path.Value != strconv.Quote(imported) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(imported)
	}
	return ""
}
