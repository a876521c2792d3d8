package recording

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"natscast/internal/media"
)

var begun = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func TestTemplate(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 128)
	for _, c := range []struct {
		template string
		name     media.Name
		want     string // "" for a bad template
	}{
		{DefaultTemplate, "live/cam", "live/cam-20261122T100000Z"},
		{DefaultTemplate + ".flv", "live/cam", "live/cam-20261122T100000Z"},
		{DefaultTemplate, "live/room/cam", "live/room/cam-20261122T100000Z"},
		{"{stream}", "live/room/cam", "live/room/cam"},
		{"all/{name}_{n}", "live/cam", "all/cam_7"},
		{"{stream}", "live/.hidden", "live/=2Ehidden"},
		{"{stream}", "live/...", "live/=2E.."},
		{"{stream}", `live/..\..\x`, "live/=2E.=5C..=5Cx"},
		{"{stream}", "live/a=b:c%2F*", "live/a=3Db=3Ac=252F=2A"},
		{"{stream}", "live/é ü", "live/é ü"},
		{"{stream}", "{app}/{n}", "{app}/{n}"},
		{"{stream}", media.Name("live/" + long), "live/" + strings.Repeat("é", 71) + "==0e95369293b26d25"},
		{"", "", ""},
		{"/{stream}", "", ""},
		{"../{stream}", "", ""},
		{".{stream}", "", ""},
		{"{app}/.x{name}", "", ""},
		{"{app}//{name}", "", ""},
		{"{node}", "", ""},
		{"{app", "", ""},
		{"a}", "", ""},
		{`{app}\{name}`, "", ""},
		{"{app}/", "", ""},
	} {
		tmpl, err := ParseTemplate(c.template, FLV)
		if (err == nil) != (c.want != "") || err != nil && !errors.Is(err, ErrTemplate) {
			t.Errorf("%q: %v", c.template, err)
			continue
		}
		if err != nil {
			continue
		}
		if got := tmpl.path(c.name, 7, begun); got != c.want {
			t.Errorf("%q of %q is %q, want %q", c.template, c.name, got, c.want)
		}
	}
}

// No name leaves the directory or hides in it, and different names stay different.
func FuzzTemplate(f *testing.F) {
	f.Add("live", "../x", "live", "=2E./x")
	f.Add("live", ".a", "live", "a")
	f.Add("{time}", "{n}", "a", "b")
	f.Fuzz(func(t *testing.T, app1, stream1, app2, stream2 string) {
		tmpl, err := ParseTemplate("{stream}", FLV)
		if err != nil {
			t.Fatal(err)
		}
		first, err1 := media.ParseName(app1, stream1)
		second, err2 := media.ParseName(app2, stream2)
		if err1 != nil || err2 != nil {
			return
		}
		path := tmpl.path(first, 1, begun)
		if !filepath.IsLocal(path) || strings.Contains("/"+path, "/.") {
			t.Errorf("%q: %q", first, path)
		}
		for e := range strings.SplitSeq(path, "/") {
			if e == "" || len(e) > maxElement {
				t.Errorf("%q: %q", first, path)
			}
		}
		if (path == tmpl.path(second, 1, begun)) != (first == second) {
			t.Errorf("%q and %q: %q", first, second, path)
		}
	})
}

func newDir(t *testing.T, template string, format Format) (*Dir, string) {
	t.Helper()
	tmpl, err := ParseTemplate(template, format)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "recordings")
	d, err := OpenDir(path, tmpl)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, path
}

// put opens a file, writes to it, and returns its name below the directory.
func put(t *testing.T, d *Dir, dir, name string, mode Mode, since time.Time, n int) string {
	t.Helper()
	f, err := d.Open(media.Name(name), mode, since, n, begun)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(0, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Rel(dir, f.Name())
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return path + " " + string(b)
}

func TestDir(t *testing.T) {
	t.Parallel()
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	type open struct {
		mode  Mode
		since time.Time
		n     int
		want  string // the file and its content
	}
	for name, test := range map[string]struct {
		template string
		format   Format
		opens    []open
	}{
		"keep": {"{stream}", FLV, []open{{Keep, future, 1, "live/cam.flv x"}, {Keep, future, 1, "live/cam-2.flv x"}, {Keep, future, 2, "live/cam-3.flv x"}}},
		"replace": {"{stream}", MP4, []open{
			{Replace, future, 1, "live/cam.mp4 x"}, {Replace, future, 1, "live/cam.mp4 x"}, {Replace, future, 2, "live/cam-2.mp4 x"},
		}},
		"replace, but not of the same publication": {"{stream}", FLV, []open{{Replace, past, 1, "live/cam.flv x"}, {Replace, past, 1, "live/cam-2.flv x"}}},
		"replace by a name with a time":            {DefaultTemplate, FLV, []open{{Replace, future, 1, "live/cam-20261122T100000Z.flv x"}, {Replace, future, 1, "live/cam-20261122T100000Z-2.flv x"}}},
		"append":                                   {"{stream}", FLV, []open{{Append, past, 1, "live/cam.flv x"}, {Append, past, 1, "live/cam.flv xx"}, {Append, past, 2, "live/cam-2.flv x"}}},
		"append to MP4":                            {"{stream}", MP4, []open{{Append, past, 1, "live/cam.mp4 x"}, {Append, past, 1, "live/cam-2.mp4 x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, dir := newDir(t, test.template, test.format)
			for i, o := range test.opens {
				if got := put(t, d, dir, "live/cam", o.mode, o.since, o.n); got != o.want {
					t.Errorf("file %d is %s, want %s", i, got, o.want)
				}
			}
		})
	}
}

// What others have put below the directory does not lead out of it.
func TestDirHolds(t *testing.T) {
	t.Parallel()
	d, dir := newDir(t, "{stream}", FLV)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "live")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Open("live/cam", Keep, time.Time{}, 1, begun); err == nil {
		t.Error("a link leads out of the directory")
	}
	if found, err := fs.Glob(os.DirFS(outside), "*"); err != nil || len(found) > 0 {
		t.Errorf("outside: %q, %v", found, err)
	}
}
