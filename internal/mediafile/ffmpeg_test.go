package mediafile

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/testmedia"
)

// readAll returns what the reader under test makes of a file.
func readAll(t testing.TB, f *File) testmedia.Packets {
	t.Helper()
	return testmedia.FromFrames(t, allFrames(t, f))
}

func allFrames(t testing.TB, f *File) []media.Frame {
	t.Helper()
	var frames []media.Frame
	for n := range f.Segments() {
		part, err := f.Read(n)
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, part...)
	}
	return frames
}

// writeFLV writes what a player would get.
func writeFLV(t testing.TB, f *File, path string) {
	t.Helper()
	info := f.Info().Media
	b := flv.Header(info.Audio != "", info.Video != "")
	b = append(b, 0, 0, 0, 0)[:len(flv.FileHeader)]
	for _, frame := range slices.Concat(f.Headers(), allFrames(t, f)) {
		b = flv.AppendTag(b, frame)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What the reader gives of files made by ffmpeg is what ffmpeg itself reads from them, and
// is read again from an FLV file.
func TestAgainstFFmpeg(t *testing.T) {
	t.Parallel()
	testmedia.Need(t, "ffmpeg", "ffprobe")
	dir := t.TempDir()
	for _, r := range testmedia.Recipes {
		path := testmedia.Cook(t, dir, r)
		t.Run(r.Name, func(t *testing.T) {
			f, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			want := testmedia.Probe(t, path)
			if err := testmedia.Compare(readAll(t, f), want); err != nil {
				t.Error(err)
			}
			info := f.Info()
			t.Logf("%v %+v, %d segments, asset %s", info.Duration, info.Media, f.Segments(), f.Asset())
			copied := filepath.Join(dir, r.Name+".copy.flv")
			writeFLV(t, f, copied)
			if !r.Unread {
				if err := testmedia.Compare(readAll(t, f), testmedia.Probe(t, copied)); err != nil {
					t.Error("as FLV:", err)
				}
			}
			again, err := Open(copied)
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			if err := testmedia.Compare(readAll(t, again), readAll(t, f)); err != nil {
				t.Error("again:", err)
			}
		})
	}
}
