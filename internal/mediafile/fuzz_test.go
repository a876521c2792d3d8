package mediafile

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"
)

// fuzz reads files, which must neither panic nor take more memory than they are worth.
func fuzz(f *testing.F, seeds ...[]byte) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	path := filepath.Join(f.TempDir(), "a") // each worker is a process
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<20 {
			t.Skip()
		}
		try(t, path, b)
	})
}

func FuzzFLV(f *testing.F) {
	whole := flvFile(pattern(f, 1))
	fuzz(f, whole[:4000], whole[:len(whole)/2], []byte("FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00"))
}

func FuzzMP4(f *testing.F) {
	seeds := [][]byte{packMovie(500, videoLeaves(5)), packFragmented(2, 3)}
	for _, times := range []int{2, 30} {
		video, sound := videoLeaves(5), soundLeaves(5)
		video["elst"], sound["elst"] = wholeEdits(5, times), wholeEdits(5, 1)
		seeds = append(seeds, packMovie(500, video, sound), packMovie(500, sound, video))
	}
	files := hostile()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if c := files[name].content; len(c) < 10000 {
			seeds = append(seeds, c)
		}
	}
	fuzz(f, seeds...)
}
