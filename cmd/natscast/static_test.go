package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"natscast/bus"
	"natscast/internal/cli/clitest"
	"natscast/internal/cli/cmdline"
	"natscast/internal/eventually"
	"natscast/internal/flv"
	"natscast/internal/testpattern"
)

// TestStatic finds a file at the first of two nodes, from anywhere, and lists it.
func TestStatic(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source, err := testpattern.New(testpattern.Config{})
	if err != nil {
		t.Fatal(err)
	}
	film := bytes.Clone(flv.FileHeader)
	for f := source.Next(time.Now()); f.DTS < 3000; f = source.Next(time.Now()) {
		film = flv.AppendTag(film, f)
	}
	if err := os.WriteFile(filepath.Join(dir, "film.flv"), film, 0o600); err != nil {
		t.Fatal(err)
	}
	r := startDev(t, "--no-demo", "--static", dir, "--static", "more="+dir)
	listed := func() string {
		stdout, err := run(t.Context(), "streams", "--nats", r.NATS)
		if err != nil {
			t.Fatal(err)
		}
		return stdout
	}
	eventually.True(t, "both are listed", func() bool { return len(clitest.Fields(listed())) == 3 })
	clitest.CheckTable(t, "streams", listed(),
		"STREAM|KIND|NODE|VIDEO|SIZE|FPS|AUDIO|BITRATE|DURATION|AGE|EPOCH",
		"more/film.flv|static|edge-1|avc1.42c01f|640x360|25|mp4a.40.2|*|3s|-|-",
		"vod/film.flv|static|edge-1|avc1.42c01f|640x360|25|mp4a.40.2|*|3s|-|-")
	b, err := bus.Connect(t.Context(), bus.Options{URLs: r.NATS, Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	a, err := b.FindAsset(t.Context(), "vod/film")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := b.ReadSegment(t.Context(), a.ID, 2); err != nil || len(s.Payload) == 0 {
		t.Errorf("%d bytes, %v", len(s.Payload), err)
	}
}

func TestStaticErrors(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	for _, command := range []string{"origin", "dev"} {
		_, stderr, err := runBoth(t.Context(), command, "--static", missing)
		want := "--static " + missing + ": no such file or directory"
		if !errors.Is(err, fs.ErrNotExist) || err.Error() != want || stderr != "" {
			t.Errorf("%s: %v, %q; want %s", command, err, stderr, want)
		}
	}
	if _, _, err := runBoth(t.Context(), "edge", "--static", missing); !errors.Is(err, cmdline.ErrUsage) || !strings.Contains(err.Error(), "static") {
		t.Errorf("edge: %v", err)
	}
}
