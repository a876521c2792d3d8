package mediafile

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/testpattern"
)

// save writes a file for a test.
func save(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// fails checks an error of Open.
func fails(t testing.TB, err error) {
	t.Helper()
	if err == nil || !errors.Is(err, ErrFile) || errors.Is(err, errFault) {
		t.Errorf("the error is %v", err)
	}
}

// pattern is some seconds of the test pattern: headers, H.264, AAC.
func pattern(t testing.TB, seconds int) []media.Frame {
	t.Helper()
	s, err := testpattern.New(testpattern.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var frames []media.Frame
	for {
		f := s.Next(time.Unix(0, 0))
		if f.DTS >= uint32(seconds)*1000 {
			return frames
		}
		frames = append(frames, f)
	}
}

func flvFile(frames []media.Frame) []byte {
	b := slices.Clone(flv.FileHeader)
	for _, f := range frames {
		b = flv.AppendTag(b, f)
	}
	return b
}

// packBox makes an MP4 box of numbers, text and other boxes.
func packBox(kind string, parts ...any) []byte {
	b := append([]byte{0, 0, 0, 0}, kind...)
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = binary.BigEndian.AppendUint32(b, uint32(p))
		case string:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		case []uint32:
			for _, n := range p {
				b = binary.BigEndian.AppendUint32(b, n)
			}
		}
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	return b
}

func zeros(n int) []byte { return make([]byte, n) }

// leaves are the boxes of a track, which tests change and take away.
type leaves map[string][]byte

// The samples of a file made by packMovie.
const (
	clock      = 1000
	sampleSize = 100
	sampleTime = 40
	keyEvery   = 25
	mdatAt     = 24 // behind ftyp and the header of mdat
)

// videoLeaves are those of n samples from mdatAt on.
func videoLeaves(n int) leaves {
	var keys []uint32
	for i := 1; i <= n; i += keyEvery {
		keys = append(keys, uint32(i))
	}
	return leaves{
		"tkhd": packBox("tkhd", 1, 0, 0, 1, zeros(68)),
		"elst": packBox("elst", 0, 1, n*sampleTime, 0, 0x10000),
		"mdhd": packBox("mdhd", 0, 0, 0, clock, n*sampleTime, 0),
		"hdlr": packBox("hdlr", 0, 0, "vide", zeros(13)),
		"stsd": packBox("stsd", 0, 1, avc1(30)),
		"stts": packBox("stts", 0, 1, n, sampleTime),
		"ctts": packBox("ctts", 0, 1, n, 0),
		"stsc": packBox("stsc", 0, 1, 1, n, 1),
		"stsz": packBox("stsz", 0, sampleSize, n),
		"stco": packBox("stco", 0, 1, mdatAt),
		"stss": packBox("stss", 0, len(keys), keys),
	}
}

func (l leaves) trak() []byte {
	stbl := packBox("stbl", l["stsd"], l["stts"], l["ctts"], l["stsc"], l["stsz"], l["stco"], l["stss"])
	return packBox("trak", l["tkhd"], packBox("edts", l["elst"]),
		packBox("mdia", l["mdhd"], l["hdlr"], packBox("minf", stbl)))
}

// packMovie makes a file with room for the samples.
func packMovie(mdat int, tracks ...leaves) []byte {
	mvhd := packBox("mvhd", 0, 0, 0, clock, 0, zeros(80))
	parts := []any{mvhd}
	for _, l := range tracks {
		parts = append(parts, l.trak())
	}
	return slices.Concat(packBox("ftyp", "isom", 0), packBox("mdat", zeros(mdat)), packBox("moov", parts...))
}

// packFragmented makes a file whose samples are in fragments.
func packFragmented(fragments, n int) []byte {
	return packFragments(videoLeaves(0), n, slices.Repeat([]int{1}, fragments)...)
}

// packFragments makes a fragment of n samples for each number of a sample description.
func packFragments(l leaves, n int, descriptions ...int) []byte {
	for kind := range l {
		if kind == "stts" || kind == "stsc" || kind == "stco" {
			l[kind] = packBox(kind, 0, 0)
		}
	}
	delete(l, "ctts")
	delete(l, "stss")
	delete(l, "elst")
	b := slices.Concat(packBox("ftyp", "isom", 0), packBox("moov",
		packBox("mvhd", 0, 0, 0, clock, 0, zeros(80)), l.trak(),
		packBox("mvex", packBox("trex", 0, 1, 1, sampleTime, sampleSize, 0x01010000))))
	for i, description := range descriptions {
		tfhd := packBox("tfhd", 0x020002, 1, description)
		b = append(b, packFragment(i*n*sampleTime, tfhd, packBox("trun", 0x205, n, 0, 0x02000000, slices.Repeat([]uint32{sampleSize}, n)))...)
		b = append(b, packBox("mdat", zeros(n*sampleSize))...)
	}
	return b
}

// packFragment makes the moof of one run, whose data begins behind the header of the
// next box.
func packFragment(at int, tfhd, trun []byte) []byte {
	const runOffsetAt = 16
	moof := packBox("moof", packBox("mfhd", 0, 1), packBox("traf", tfhd, packBox("tfdt", 0, at), trun))
	binary.BigEndian.PutUint32(moof[len(moof)-len(trun)+runOffsetAt:], uint32(len(moof)+boxHeader))
	return moof
}

// avc1 is a sample description with a record of the Baseline profile without parameter sets, of a
// level.
func avc1(level byte) []byte {
	return packBox("avc1", zeros(78), packBox("avcC", "\x01\x42\xc0", []byte{level}, "\xff\xe0\x00"))
}
