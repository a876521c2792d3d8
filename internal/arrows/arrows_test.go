package arrows

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "natscast/"
	root   = "../.."
	joy4   = "github.com/nareix/joy4/"
)

// arrow forbids imports. A path stands for itself, and with /... for everything
// below it too; paths of this module are relative to it.
type arrow struct {
	from     []string
	except   []string // where from does not hold
	inTests  bool     // forbidden in tests too
	to       []string
	because  string
	breaking string // an import that the test of this table expects to be caught, as "file imports path"
}

var forbidden = []arrow{
	{
		from: []string{"edge"}, to: []string{module + "origin/..."},
		because:  "edge declares the Ingester that it needs, and media reaches it over the bus alone",
		breaking: "edge/x.go imports natscast/origin",
	},
	{
		from: []string{"origin"}, inTests: true, to: []string{module + "edge/..."},
		because:  "origin and edge meet on the bus",
		breaking: "origin/x_test.go imports natscast/edge",
	},
	{
		from: []string{"bus", "kv"}, inTests: true, to: []string{module + "edge/...", module + "origin/..."},
		because:  "bus and kv are what the roles stand on",
		breaking: "kv/x_test.go imports natscast/edge",
	},
	{
		from: []string{"bus"}, inTests: true, to: []string{module + "kv/..."},
		because:  "media does not wait for shared state: the two paths fail apart",
		breaking: "bus/x.go imports natscast/kv",
	},
	{
		from: []string{"kv"}, inTests: true, to: []string{module + "bus/..."},
		because:  "shared state needs a connection to NATS and nothing of the media on it",
		breaking: "kv/x.go imports natscast/bus",
	},
	{
		from: []string{"internal/..."}, except: []string{"internal/cli/...", "internal/node/..."}, inTests: true,
		to:       []string{module + "edge/...", module + "origin/...", module + "bus/...", module + "kv/...", module + "cmd/..."},
		because:  "internal packages know formats and protocols, not the cluster",
		breaking: "internal/rtmp/client/x_test.go imports natscast/bus",
	},
	{
		from: []string{"..."}, except: []string{"bus/...", "kv/...", "internal/provision/...", "internal/cli/connect/...", "internal/cli/clitest/...", "cmd/...", "integration/..."}, inTests: true,
		to:       []string{"github.com/nats-io/..."},
		because:  "bus and kv alone speak NATS, and what makes the streams of both; cmd passes options to them",
		breaking: "edge/x.go imports github.com/nats-io/nats.go/jetstream",
	},
	{
		from: []string{"..."}, except: []string{"integration/..."},
		to:       []string{joy4 + "format/rtmp"},
		because:  "joy4's RTMP client is a peer in tests: it has no deadlines, and knows H.264 and AAC alone",
		breaking: "cmd/natscast/x.go imports github.com/nareix/joy4/format/rtmp",
	},
	{
		from: []string{"..."}, except: []string{"integration/..."}, inTests: true,
		to:       []string{joy4 + "format/ts", joy4 + "format/mp4/...", joy4 + "format", joy4 + "av/pubsub"},
		because:  "they lose media, crash on hostile files, or register an RTSP client",
		breaking: "internal/flv/x_test.go imports github.com/nareix/joy4/format/mp4",
	},
	{
		from:     []string{"..."},
		to:       []string{"github.com/bluenviron/gortmplib/..."},
		because:  "it is an independent peer for tests; a connect command of some megabytes ends the process that serves it",
		breaking: "edge/x.go imports github.com/bluenviron/gortmplib",
	},
}

func (a arrow) forbids(file, imported string) bool {
	pkg := path.Dir(filepath.ToSlash(file))
	if strings.HasSuffix(file, "_test.go") && !a.inTests {
		return false
	}
	return matches(a.from, pkg) && !matches(a.except, pkg) && matches(a.to, imported)
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

// TestTable breaks each rule once.
func TestTable(t *testing.T) {
	t.Parallel()
	for _, a := range forbidden {
		file, imported, _ := strings.Cut(a.breaking, " imports ")
		if !a.forbids(file, imported) {
			t.Errorf("%q is not caught", a.breaking)
		}
	}
}

// TestNoJoy4Server looks for uses of joy4's RTMP server, which one message of a
// client can kill, and the process with it.
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
