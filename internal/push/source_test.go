package push

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/mediafile"
	"natscast/internal/testpattern"
)

// film returns an FLV file of the test pattern, of one second that begins at first.
// The headers are its first three tags.
func film(t testing.TB, first uint32) (file []byte, ends []int) {
	t.Helper()
	source, err := testpattern.New(testpattern.Config{})
	if err != nil {
		t.Fatal(err)
	}
	file = append(file, flv.FileHeader...)
	for {
		f := source.Next(time.Time{})
		if f.DTS >= 1000 {
			return file, ends
		}
		f.DTS += first
		file = flv.AppendTag(file, f)
		ends = append(ends, len(file))
	}
}

func save(t testing.TB, file []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "film.flv")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFile plays a file three times over: time begins at 0 and goes on evenly.
func TestFile(t *testing.T) {
	t.Parallel()
	whole, ends := film(t, 0)
	late, _ := film(t, 20_000)
	tests := map[string]struct {
		file    []byte
		packets int
	}{
		"begins at 0":    {whole, len(ends) - 3},
		"begins at 20 s": {late, len(ends) - 3},
		"cut in a tag":   {whole[:ends[20]+20], 18},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, err := File(save(t, test.file))
			if err != nil {
				t.Fatal(err)
			}
			defer source.Close()
			for i := range 3 {
				if f, err := source.Next(time.Time{}); err != nil || !f.Header || f.DTS != 0 {
					t.Fatalf("frame %d is %v at %d, header %v: %v", i, f.Kind, f.DTS, f.Header, err)
				}
			}
			var first [][]byte
			var last uint32
			for round := range 3 {
				for i := range test.packets {
					p, err := source.Next(time.Time{})
					if err != nil {
						t.Fatal(err)
					}
					switch step := media.Since(last, p.DTS); {
					case round == 0 && i == 0 && p.DTS != 0:
						t.Errorf("begins at %v", p.DTS)
					case step < 0 || step > loopGap:
						t.Errorf("round %d, frame %d: %v after %v", round, i, p.DTS, last)
					case round > 0 && i == 0 && step != loopGap:
						t.Errorf("round %d begins %v after the one before", round, step)
					}
					last = p.DTS
					if round == 0 {
						first = append(first, p.Payload)
					} else if !bytes.Equal(p.Payload, first[i]) {
						t.Errorf("round %d: another frame %d", round, i)
					}
				}
			}
		})
	}
}

func TestBadFile(t *testing.T) {
	t.Parallel()
	whole, ends := film(t, 0)
	headers := whole[:ends[2]]
	tag := func(kind media.Kind, body string) []byte {
		return flv.AppendTag(bytes.Clone(flv.FileHeader), media.NewFrame(kind, 0, []byte(body)))
	}
	tests := map[string][]byte{
		"empty":           {},
		"text":            []byte("what is this? no film at all"),
		"file header":     flv.FileHeader,
		"half a header":   flv.FileHeader[:5],
		"only headers":    headers,
		"HEVC":            tag(media.Video, "\x90hvc1\x01\x02\x03"),
		"AVC config of 0": tag(media.Video, "\x17\x00\x00\x00\x00"),
		"AVC config of 5": tag(media.Video, "\x17\x00\x00\x00\x00\x01\x4d\x00\x1e\xff"),
		"AAC config of 0": tag(media.Audio, "\xaf\x00"),
		"tag beyond end":  append(bytes.Clone(flv.FileHeader), 9, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0),
	}
	for name, file := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, err := File(save(t, file))
			if err == nil {
				defer source.Close()
				_, err = source.Next(time.Time{})
			}
			if !errors.Is(err, mediafile.ErrFile) {
				t.Errorf("%v", err)
			}
		})
	}
	if _, err := File(filepath.Join(t.TempDir(), "none.flv")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
