package push

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"natscast/internal/amf"
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

// TestFile plays a file three times over: time begins at 0, and each round when the one
// before it ends.
func TestFile(t *testing.T) {
	t.Parallel()
	whole, ends := film(t, 0)
	late, _ := film(t, 20_000)
	tests := map[string]struct {
		file   []byte
		frames int
	}{
		"begins at 0":    {whole, len(ends) - 3},
		"begins at 20 s": {late, len(ends) - 3},
		"cut in a tag":   {whole[:ends[20]+20], 18},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := open(t, save(t, test.file))
			for i, f := range take(t, source, 3) {
				if !f.Header || f.DTS != 0 {
					t.Fatalf("frame %d is %v at %d, header %v", i, f.Kind, f.DTS, f.Header)
				}
			}
			period := uint32(source.(*file).Info().Duration.Milliseconds())
			first := take(t, source, test.frames)
			if first[0].DTS != 0 || first[len(first)-1].DTS > period {
				t.Errorf("from %d to %d in %d ms", first[0].DTS, first[len(first)-1].DTS, period)
			}
			for round := range uint32(2) {
				for i, f := range take(t, source, test.frames) {
					if want := first[i].DTS + (round+1)*period; f.DTS != want || !bytes.Equal(f.Payload, first[i].Payload) {
						t.Fatalf("round %d, frame %d at %d, want the one at %d, then %d", round+2, i, f.DTS, first[i].DTS, want)
					}
				}
			}
		})
	}
}

// TestShortFile plays a single picture, which has no length.
func TestShortFile(t *testing.T) {
	t.Parallel()
	whole, ends := film(t, 0)
	source := open(t, save(t, whole[:ends[3]]))
	for i, f := range take(t, source, 6)[3:] {
		if want := uint32(i) * shortest; f.DTS != want {
			t.Errorf("round %d at %d, want %d", i+1, f.DTS, want)
		}
	}
}

// TestChangedHeaders plays a file in which another sequence header replaces the first one:
// that is in force again in the next round, and only it is repeated.
func TestChangedHeaders(t *testing.T) {
	t.Parallel()
	whole, ends := film(t, 0)
	source := open(t, save(t, whole))
	headers := take(t, source, 3)
	other := bytes.Clone(headers[1].Payload)
	other[7]++ // the compatible profiles
	changed := append(whole, flv.AppendTag(nil, media.NewFrame(media.Video, 1010, other))...)
	changed = append(changed, flv.AppendTag(nil, take(t, source, 1)[0])...)

	source = open(t, save(t, changed))
	frames := take(t, source, 2*(len(ends)+1))
	var sequence [][]byte
	for i, f := range frames {
		if i > 0 && media.Since(frames[i-1].DTS, f.DTS) < 0 {
			t.Errorf("frame %d at %d, after %d", i, f.DTS, frames[i-1].DTS)
		}
		if f.Header {
			sequence = append(sequence, f.Payload)
		}
	}
	want := [][]byte{headers[0].Payload, headers[1].Payload, headers[2].Payload, other, headers[1].Payload, other}
	if !slices.EqualFunc(sequence, want, bytes.Equal) {
		t.Errorf("headers %x, want %x", sequence, want)
	}
}

// TestMetadata plays a file whose onMetaData has a duration, which is not that of the stream.
func TestMetadata(t *testing.T) {
	t.Parallel()
	whole, _ := film(t, 0)
	metadata := take(t, open(t, save(t, whole)), 1)[0]
	values, err := amf.DecodeAll0(metadata.Payload)
	if err != nil || len(values) != 2 || !metadata.Header {
		t.Fatalf("%v, %v", values, err)
	}
	fields := amf.Fields(values[1])
	if _, ok := fields.Get("duration"); ok || len(fields) == 0 {
		t.Errorf("%v", fields)
	}
}

func open(t *testing.T, path string) Source {
	t.Helper()
	source, err := File(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { source.Close() })
	return source
}

func take(t *testing.T, source Source, n int) (frames []media.Frame) {
	t.Helper()
	for range n {
		f, err := source.Next(time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, f)
	}
	return frames
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
