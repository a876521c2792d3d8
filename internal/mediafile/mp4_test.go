package mediafile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"natscast/internal/media"
)

// flat is what each sample of a file is, for comparison.
func flat(f *File) (out []string) {
	for _, e := range f.entries {
		out = append(out, fmt.Sprint(e.pos, e.dts, e.cts, e.size(), e.has(flagKey)))
	}
	return out
}

func TestMovie(t *testing.T) {
	t.Parallel()
	const n = 60
	f := open(t, save(t, "a.mp4", packMovie(n*sampleSize, videoLeaves(n))))
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(mdatAt+i*sampleSize, i*sampleTime, 0, sampleSize, i%keyEvery == 0))
	}
	if got := flat(f); !slices.Equal(got, want) {
		t.Errorf("samples %v", got)
	}
	if f.Segments() != 3 || f.Segment(1) != (Segment{Start: 1000, Key: true, Bytes: keyEvery * sampleSize}) {
		t.Errorf("%d segments, %+v", f.Segments(), f.Segment(1))
	}
	if d := f.Info().Duration; d != n*sampleTime*time.Millisecond {
		t.Errorf("duration %v", d)
	}
}

// The same samples in other boxes make the same index.
func TestBoxes(t *testing.T) {
	t.Parallel()
	const n = 50
	plain := open(t, save(t, "a.mp4", packMovie(n*sampleSize, videoLeaves(n))))
	for name, change := range map[string]func(leaves){
		"co64": func(l leaves) { l["stco"] = packBox("co64", 0, 1, 0, mdatAt) },
		"version 1": func(l leaves) {
			l["mdhd"] = packBox("mdhd", 1<<24, 0, 0, 0, 0, clock, 0, 0, 0)
			l["tkhd"] = packBox("tkhd", 1<<24|1, 0, 0, 0, 0, 1, 0, 0, 0, zeros(60))
			l["elst"] = packBox("elst", 1<<24, 1, 0, n*sampleTime, 0, 0, 0x10000)
		},
		"no edits":         func(l leaves) { delete(l, "elst") },
		"an endless edit":  func(l leaves) { l["elst"] = packBox("elst", 0, 1, 0, 0, 0x10000) },
		"no ctts":          func(l leaves) { delete(l, "ctts") },
		"a size per frame": func(l leaves) { l["stsz"] = packBox("stsz", 0, 0, n, slices.Repeat([]uint32{sampleSize}, n)) },
		"two chunks": func(l leaves) {
			l["stco"] = packBox("stco", 0, 2, mdatAt, mdatAt+20*sampleSize)
			l["stsc"] = packBox("stsc", 0, 2, 1, 20, 1, 2, n-20, 1)
		},
		"too few times": func(l leaves) { l["stts"] = packBox("stts", 0, 1, 1, sampleTime) },
	} {
		l := videoLeaves(n)
		change(l)
		f := open(t, save(t, "a.mp4", packMovie(n*sampleSize, l)))
		if !slices.Equal(flat(f), flat(plain)) {
			t.Errorf("%s: %v, want %v", name, flat(f), flat(plain))
		}
		if f.Asset() != plain.Asset() {
			t.Errorf("%s: asset %s, want %s", name, f.Asset(), plain.Asset())
		}
	}
}

// The second and the fourth second of four have another sample description: what Read gives, and
// what HeadersAt says to who begins there.
func TestDescriptions(t *testing.T) {
	t.Parallel()
	two := packBox("stsd", 0, 2, avc1(30), avc1(40))
	runs := videoLeaves(4 * keyEvery)
	runs["stsd"] = two
	var chunks []uint32
	for i := range uint32(4) {
		chunks = append(chunks, mdatAt+i*keyEvery*sampleSize)
	}
	runs["stco"] = packBox("stco", 0, 4, chunks)
	runs["stsc"] = packBox("stsc", 0, 4, 1, keyEvery, 1, 2, keyEvery, 2, 3, keyEvery, 1, 4, keyEvery, 2)
	fragments := videoLeaves(0)
	fragments["stsd"] = two
	for name, content := range map[string][]byte{
		"chunks":    packMovie(4*keyEvery*sampleSize, runs),
		"fragments": packFragments(fragments, keyEvery, 1, 2, 1, 2),
	} {
		f := open(t, save(t, "a.mp4", content))
		level := func(payload []byte) byte { return payload[8] }
		for n, want := range []byte{30, 40, 30, 40} {
			headers, frames := f.HeadersAt(n), read(t, f, n)
			if got := level(headers[len(headers)-1].Payload); got != want {
				t.Errorf("%s: headers at %d of level %d, want %d", name, n, got, want)
			}
			if n > 0 { // those who come from the segment before
				h := frames[0]
				if !h.Header || h.DTS != uint32(n)*1000 || level(h.Payload) != want {
					t.Errorf("%s: segment %d begins with %+v", name, n, h)
				}
				frames = frames[1:]
			}
			if len(frames) != keyEvery || frames[0].Header || !frames[0].Keyframe {
				t.Errorf("%s: %d frames in segment %d", name, len(frames), n)
			}
		}
	}
}

func read(t *testing.T, f *File, n int) []media.Frame {
	t.Helper()
	frames, err := f.Read(n)
	if err != nil {
		t.Fatal(err)
	}
	return frames
}

func TestFragmented(t *testing.T) {
	t.Parallel()
	b := packFragmented(4, 25)
	path := save(t, "a.mp4", b)
	f := open(t, path)
	if len(f.entries) != 100 || f.Segments() != 4 || f.entries[99].dts != 99*sampleTime {
		t.Fatalf("%d samples in %d segments", len(f.entries), f.Segments())
	}
	whole := flat(f)
	first := strings.Index(string(b), "moof")
	for cut := len(b) - 1; cut > 0; cut -= 97 { // a killed recorder
		if err := os.Truncate(path, int64(cut)); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err != nil {
			if fails(t, err); cut > first+2*(len(b)-first)/4 {
				t.Errorf("cut to %d of %d bytes: %v", cut, len(b), err)
			}
			continue
		}
		if got := flat(f); !slices.Equal(got, whole[:len(got)]) {
			t.Errorf("cut to %d bytes: %v", cut, got)
		}
		f.Close()
	}
}

// Edits of a track of 50 samples of 40 ms, a keyframe each second, and what is left: the
// DTS of the first one in the media, its time when played, and their number.
func TestEdits(t *testing.T) {
	t.Parallel()
	const empty = 0xffffffff
	for _, c := range []struct {
		name        string
		edits       []int // duration, media time
		first, at   int64
		n, position int
	}{
		{"all", []int{2000, 0}, 0, 0, 50, 0},
		{"from a keyframe", []int{1000, 1000}, 1000, 0, 25, 0},
		{"from between keyframes", []int{500, 1200}, 1000, -200, 18, 0},
		{"from within a frame", []int{500, 1190}, 1000, -200, 18, 0},
		{"without the end", []int{1000, 0}, 0, 0, 25, 0},
		{"behind an empty edit", []int{300, empty, 2000, 0}, 0, 300, 50, 0},
		{"twice", []int{400, 0, 400, 0}, 0, 0, 20, 0},
		{"beyond the end", []int{400, 9000}, 0, 0, 0, 0},
		{"behind an empty edit of 0", []int{0, empty, 2000, 0}, 0, 0, 50, 0},
		{"to the end", []int{0, 1000}, 1000, 0, 25, 0},
		{"to the end, behind one of 0", []int{0, 0, 0, 0}, 0, 0, 50, 0},
		{"behind one of 0", []int{0, 1000, 400, 0}, 0, 0, 10, 0},
		{"from a time below -1", []int{2000, 0xfffffffe}, 0, 0, 50, 0},
		{"in two parts", []int{800, 0, 1000, 1000}, 0, 0, 45, 0},
		{"in two parts, the second from between keyframes", []int{400, 0, 400, 1200}, 0, 0, 25, 0},
	} {
		l := videoLeaves(50)
		elst := []any{0, len(c.edits) / 2}
		for i := 0; i < len(c.edits); i += 2 {
			elst = append(elst, c.edits[i], c.edits[i+1], 0x10000)
		}
		l["elst"] = packBox("elst", elst...)
		m := &movie{boxReader: boxReader{windowOf(t, packMovie(50*sampleSize, l))}}
		moov, _, err := m.topLevel()
		if err == nil {
			err = m.readMovie(moov)
		}
		if err == nil {
			err = m.readSamples(m.tracks[0])
		}
		if err == nil {
			err = m.tracks[0].applyEdits(false)
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		s := m.tracks[0].samples
		if len(s) != c.n {
			t.Errorf("%s: %d samples, want %d", c.name, len(s), c.n)
			continue
		}
		if c.n > 0 && (s[0].pos != mdatAt+c.first/sampleTime*sampleSize || s[0].dts != c.at) {
			t.Errorf("%s: the first sample is at %d, played at %d; want that of %d at %d", c.name, s[0].pos, s[0].dts, c.first, c.at)
		}
	}
}

// Edits that play more samples than the media has: of one track, of the other one, and of both.
func TestEditsPlayTwice(t *testing.T) {
	t.Parallel()
	const n = 50
	for name, parts := range map[string][2]int{
		"video": {2, 1}, "sound": {1, 2}, "both": {2, 2}, "many": {7, 40},
	} {
		video, sound := videoLeaves(n), soundLeaves(n)
		video["elst"], sound["elst"] = wholeEdits(n, parts[0]), wholeEdits(n, parts[1])
		f := open(t, save(t, "a.mp4", packMovie(n*sampleSize, video, sound)))
		var got [2]int
		for i := range f.entries {
			got[f.entries[i].rank()-rankVideo]++
		}
		if want := [2]int{n * parts[0], n * parts[1]}; got != want {
			t.Errorf("%s: %d frames of video and sound, want %d", name, got, want)
		}
		last := f.entries[len(f.entries)-1].dts
		if want := int64(max(parts[0], parts[1])*n*sampleTime - sampleTime); last != want {
			t.Errorf("%s: the last frame is at %d ms, want %d", name, last, want)
		}
	}
}

// wholeEdits plays n samples some times.
func wholeEdits(n, times int) []byte {
	edits := []any{0, times}
	for range times {
		edits = append(edits, n*sampleTime, 0, 0x10000)
	}
	return packBox("elst", edits...)
}

// A fault of the reader is an error of the file that it reads.
func TestGuard(t *testing.T) {
	t.Parallel()
	err := guard(func() error { return []error{}[len(t.Name())] })
	if !errors.Is(err, errFault) || !strings.Contains(err.Error(), "index out of range") ||
		!strings.Contains(err.Error(), "TestGuard") {
		t.Errorf("a panic is %v", err)
	}
	if err := guard(func() error { return ErrChanged }); !errors.Is(err, ErrChanged) {
		t.Errorf("an error is %v", err)
	}
}

func windowOf(t *testing.T, b []byte) *window {
	t.Helper()
	file, err := os.Open(save(t, "a.mp4", b))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return &window{file: file, size: int64(len(b))}
}

func TestMillis(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		time      int64
		timescale uint32
		want      int64
	}{
		{0, 1, 0}, {1, 1, 1000}, {1, 3, 333}, {2, 3, 667}, {-1, 3, -333}, {-2, 3, -667}, {-90000, 90000, -1000},
		{maxTime, 1, maxTime * 1000}, {maxTime, 1<<32 - 1, 262144000}, {-maxTime, 1, -maxTime * 1000},
	} {
		if got := millis(c.time, c.timescale); got != c.want {
			t.Errorf("%d/%d s are %d ms, want %d", c.time, c.timescale, got, c.want)
		}
	}
}

// audioLeaves are those of a track of sound with a sample entry.
func audioLeaves(n int, entry []byte) leaves {
	l := videoLeaves(n)
	l["tkhd"] = packBox("tkhd", 1, 0, 0, 2, zeros(68))
	l["hdlr"] = packBox("hdlr", 0, 0, "soun", zeros(13))
	l["stsd"] = packBox("stsd", 0, 1, entry)
	delete(l, "stss")
	return l
}

// soundLeaves are those of n samples of AAC.
func soundLeaves(n int) leaves {
	const esds = "\x00\x00\x00\x00\x03\x19\x00\x01\x00\x04\x11\x40\x15\x00\x00\x00\x00" +
		"\x01\x00\x00\x00\x01\x00\x00\x05\x02\x12\x10"
	return audioLeaves(n, packBox("mp4a", zeros(28), packBox("esds", esds)))
}

func TestCodecs(t *testing.T) {
	t.Parallel()
	const (
		head = "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x10\x00\x00\x00\x00\xac\x44\x00\x00"
		esds = "\x00\x00\x00\x00\x03\x80\x80\x80\x19\x00\x01\x00\x04\x11\x40\x15\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x05\x02\x12\x10\x06\x01\x02"
		dops = "\x00\x02\x01\x38\x00\x00\xbb\x80\x00\x00\x00"
	)
	version1 := []byte(head)
	version1[9] = 1
	mp3 := strings.Replace(esds, "\x11\x40", "\x11\x6b", 1)
	for name, c := range map[string]struct {
		entry  []byte
		header string // of the sequence header, "" for none
		frame  string
		err    string
	}{
		"AAC":              {packBox("mp4a", head, packBox("esds", esds)), "\xaf\x00\x12\x10", "\xaf\x01", ""},
		"AAC of QuickTime": {packBox("mp4a", version1, zeros(16), packBox("wave", packBox("frma", "mp4a"), packBox("esds", esds), zeros(8))), "\xaf\x00\x12\x10", "\xaf\x01", ""},
		"MP3":              {packBox("mp4a", head, packBox("esds", mp3)), "", "\x2f", ""},
		"MP3 of QuickTime": {packBox(".mp3", head), "", "\x2f", ""},
		"Opus":             {packBox("Opus", head, packBox("dOps", dops)), "\x90OpusOpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00", "\x91Opus", ""},
		"AC-3":             {packBox("ac-3", head), "\x90ac-3", "\x91ac-3", ""},
		"E-AC-3":           {packBox("ec-3", head), "\x90ec-3", "\x91ec-3", ""},
		"PCM":              {packBox("sowt", head), "", "", `"sowt"`},
		"Vorbis":           {packBox("mp4a", head, packBox("esds", strings.Replace(esds, "\x11\x40", "\x11\xdd", 1))), "", "", `"mp4a.dd"`},
		"without esds":     {packBox("mp4a", head), "", "", "esds"},
		"empty esds":       {packBox("mp4a", head, packBox("esds")), "", "", "esds"},
		"short dOps":       {packBox("Opus", head, packBox("dOps", "\x00")), "", "", "dOps"},
		"short entry":      {packBox("mp4a", "\x00"), "", "", "sample description"},
		"no entry":         {nil, "", "", "sample description"},
	} {
		f, err := Open(save(t, "a.mp4", packMovie(5000, audioLeaves(50, c.entry))))
		if c.err != "" {
			if fails(t, err); err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		defer f.Close()
		if h := f.Headers(); c.header == "" && len(h) != 1 || c.header != "" && (len(h) != 2 || string(h[1].Payload) != c.header) {
			t.Errorf("%s: headers %v", name, h)
		}
		frames, err := f.Read(0)
		if err != nil || !strings.HasPrefix(string(frames[0].Payload), c.frame) || len(frames[0].Payload) != len(c.frame)+sampleSize {
			t.Errorf("%s: %v, % x", name, err, frames[0].Payload[:8])
		}
	}
	// Beside a track that can be carried, one that cannot is left out.
	f := open(t, save(t, "a.mp4", packMovie(5000, audioLeaves(50, packBox("sowt", head)), videoLeaves(50))))
	if i := f.Info().Media; i.Audio != "" || !strings.HasPrefix(i.Video, "avc1") {
		t.Errorf("%+v", i)
	}
}

// hostile are files that make no sense, and what their error tells.
func hostile() map[string]struct {
	content []byte
	tells   string
} {
	type file = struct {
		content []byte
		tells   string
	}
	const n = 50
	with := func(change func(leaves)) []byte {
		l := videoLeaves(n)
		change(l)
		return packMovie(n*sampleSize, l)
	}
	files := map[string]file{
		"no moov":            {packBox("ftyp", "isom"), "moov"},
		"empty moov":         {append(packBox("ftyp"), packBox("moov")...), "no video"},
		"boxes without end":  {append(packBox("ftyp"), packBox("moov", bytes.Repeat(packBox("free"), 100000))...), "boxes in a box"},
		"moov of size 0":     {append(packBox("ftyp"), "\x00\x00\x00\x00moov"...), `"moov" of 0 bytes`},
		"child of size 0":    {append(packBox("ftyp"), packBox("moov", "\x00\x00\x00\x00trak")...), `"trak" of 0 bytes`},
		"child of size 1":    {append(packBox("ftyp"), packBox("moov", "\x00\x00\x00\x01trak\xff\xff\xff\xff\xff\xff\xff\xff")...), `"trak"`},
		"child of size 4":    {append(packBox("ftyp"), packBox("moov", "\x00\x00\x00\x04trak")...), `"trak" of 4 bytes`},
		"child beyond":       {append(packBox("ftyp"), packBox("moov", "\x00\x00\xff\xfftrak")...), `"trak" of 65535 bytes`},
		"timescale 0":        {with(func(l leaves) { l["mdhd"] = packBox("mdhd", 0, 0, 0, 0, 0, 0) }), "timescale"},
		"samples beyond":     {with(func(l leaves) { l["stco"] = packBox("stco", 0, 1, 1<<30) }), "in a file of"},
		"samples far beyond": {with(func(l leaves) { l["stco"] = packBox("co64", 0, 1, -1, -1) }), "in a file of"},
		"stsz of too many":   {with(func(l leaves) { l["stsz"] = packBox("stsz", 0, 0, n, 1, 1) }), "stsz"},
		"uniform stsz":       {with(func(l leaves) { l["stsz"] = packBox("stsz", 0, 1, maxEntries) }), "in a file of"},
		"empty samples":      {with(func(l leaves) { l["stsz"] = packBox("stsz", 0, 0, n, zeros(4*n)) }), "no frames"},
		"large samples":      {with(func(l leaves) { l["stsz"] = packBox("stsz", 0, 0, 1, -1) }), "sample 1"},
		"times beyond": {with(func(l leaves) {
			l["mdhd"] = packBox("mdhd", 0, 0, 0, 1, 0, 0)
			l["elst"] = packBox("elst", 1<<24, 1, 0x7fffffff, -1, 0x7fffffff, -1, 0x10000)
		}), "edit"},
		"chunks of nothing":      {with(func(l leaves) { l["stsc"] = packBox("stsc", 0, 1, 1, 0, 1) }), "chunks"},
		"a description too many": {with(func(l leaves) { l["stsc"] = packBox("stsc", 0, 2, 1, n, 1, 2, n, 2) }), "description 2 of 1"},
		"no description":         {with(func(l leaves) { l["stsc"] = packBox("stsc", 0, 1, 1, n, 0) }), "description id is 0"},
		"another codec": {with(func(l leaves) {
			l["stsd"] = packBox("stsd", 0, 2, avc1(30), packBox("hvc1", zeros(78), packBox("hvcC", zeros(23))))
			l["stsc"] = packBox("stsc", 0, 1, 1, n, 2)
		}), "another codec"},
		"a codec that cannot be carried": {with(func(l leaves) {
			l["stsd"] = packBox("stsd", 0, 2, avc1(30), packBox("mjpg", zeros(78)))
			l["stsc"] = packBox("stsc", 0, 1, 1, n, 2)
		}), "mjpg"},
		"descriptions that change too often": {with(func(l leaves) {
			l["stsd"] = packBox("stsd", 0, 2, avc1(30), avc1(40))
			delete(l, "elst")
			l["stsz"] = packBox("stsz", 0, 1, 3000)
			l["stco"] = packBox("stco", 0, 3000, slices.Repeat([]uint32{mdatAt}, 3000))
			var runs []uint32
			for i := range uint32(3000) {
				runs = append(runs, i+1, 1, 1+i%2)
			}
			l["stsc"] = packBox("stsc", 0, 3000, runs)
		}), "change 2999 times"},
		"a fragment's description": {packFragments(videoLeaves(0), 25, 1, 2), "description 2 of 1"},
		"no stsc entries":          {with(func(l leaves) { l["stsc"] = packBox("stsc", 0, 0) }), "chunks"},
		"no stts entries":          {with(func(l leaves) { l["stts"] = packBox("stts", 0, 0) }), "times"},
		"too many edits":           {with(func(l leaves) { l["elst"] = packBox("elst", 0, 999, zeros(999*12)) }), "edits"},
		"nested esds":              {packMovie(0, audioLeaves(n, packBox("mp4a", zeros(28), packBox("esds", 0, nested(30<<20))))), "stsd"},
		"nested esds of 1 MB":      {packMovie(5000, audioLeaves(n, packBox("mp4a", zeros(28), packBox("esds", 0, nested(1<<20-999))))), "esds"},
		"a run of nothing":         {withRun(packBox("trun", 1, -1, 0)), "run"},
		"a run of empty ones":      {withRun(packBox("trun", 0x201, -1, 0)), "run"},
		"a run without flags":      {withRun(packBox("trun")), "run"},
		"a run before the file":    {withRun(packBox("trun", 0x201, 1, -1<<31, sampleSize)), "sample"},
		"a short tfhd":             {slices.Concat(packFragmented(1, 25), packBox("moof", packBox("traf", packBox("tfhd", 0)))), "tfhd"},
		"no tfhd":                  {slices.Concat(packFragmented(1, 25), packBox("moof", packBox("traf"))), "tfhd"},
		"the end of time":          {slices.Concat(packFragmented(1, 25), packBox("moof", packBox("traf", packBox("tfhd", 0, 1), packBox("tfdt", 1<<24, -1, -1)))), "time"},
	}
	for _, kind := range []string{"tkhd", "mdhd", "stsd", "stts", "stsc", "stsz", "stco"} {
		files["without "+kind] = file{with(func(l leaves) { delete(l, kind) }), kind}
		files["short "+kind] = file{with(func(l leaves) { l[kind] = packBox(kind, "\x00") }), kind}
	}
	for kind, at := range map[string]int{"stts": 12, "ctts": 12, "stsc": 12, "stsz": 16, "stco": 12, "stss": 12, "elst": 12} {
		files["endless "+kind] = file{with(func(l leaves) {
			l[kind] = slices.Clone(l[kind])
			if kind == "stsz" {
				binary.BigEndian.PutUint32(l[kind][at-4:], 0)
			}
			binary.BigEndian.PutUint32(l[kind][at:], 1<<32-1)
		}), kind}
	}
	return files
}

// withRun is a fragmented file with a run.
func withRun(trun []byte) []byte {
	return slices.Concat(packFragmented(1, 25), packBox("moof", packBox("traf", packBox("tfhd", 0x020000, 1), trun)))
}

// nested are descriptors in descriptors.
func nested(size int) []byte { return []byte(strings.Repeat("\x04\xff\xff\xff\x7f", size/5)) }

// Not parallel: it measures memory and files of the whole process.
func TestHostileMP4(t *testing.T) {
	files := hostile()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		c := files[name]
		path := save(t, "a.mp4", c.content)
		var before, after runtime.MemStats
		descriptors := openFiles()
		runtime.ReadMemStats(&before)
		start := time.Now()
		f, err := Open(path)
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		if err == nil {
			f.Close()
			t.Errorf("%s: no error", name)
			continue
		}
		fails(t, err)
		for _, told := range []string{path, "at byte", c.tells} {
			if !strings.Contains(err.Error(), told) && !strings.Contains(c.tells, "no ") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
			t.Errorf("%s: took %d bytes of memory", name, grown)
		}
		if took > 2*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		if n := openFiles(); n > descriptors {
			t.Errorf("%s: left %d files open", name, n-descriptors)
		}
	}
}

func openFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

// A file that is cut off anywhere, or has any byte of its boxes changed, is an error or is
// not, but is read in the end.
func TestDamagedMP4(t *testing.T) {
	t.Parallel()
	for _, whole := range [][]byte{packMovie(50*sampleSize, videoLeaves(50)), packFragmented(2, 5)} {
		path := save(t, "a.mp4", whole)
		for at := range whole {
			if at > mdatAt && at < mdatAt+49*sampleSize && len(whole) > 5000 {
				continue // media
			}
			try(t, path, whole[:at])
			for _, value := range []byte{0, 0xff} {
				damaged := slices.Clone(whole)
				damaged[at] = value
				try(t, path, damaged)
			}
		}
	}
}

// try reads a file to the end, if it can be opened, and checks what holds of all files.
func try(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		fails(t, err)
		return
	}
	defer f.Close()
	var last [ranks]int64
	entries := 0
	for n := range f.Segments() {
		part := f.entriesOf(n)
		if int64(f.Segment(n).Start) != part[0].dts&0xffffffff {
			t.Errorf("segment %d starts at %d, not %d", n, f.Segment(n).Start, part[0].dts)
		}
		frames, err := f.Read(n)
		if err != nil {
			t.Fatal(err)
		}
		for i := range part {
			e := &part[i]
			if e.dts < last[e.rank()] || frames[i].DTS != uint32(e.dts) {
				t.Errorf("%v at %d behind %d", frames[i].Kind, frames[i].DTS, last[e.rank()])
			}
			last[e.rank()] = e.dts
		}
		entries += len(part)
		f.HeadersAt(n)
	}
	if entries != len(f.entries) || len(f.Asset()) != 32 || f.Segment(f.At(0)).Start != 0 {
		t.Errorf("%d frames of %d in segments", entries, len(f.entries))
	}
	if len(content) > 0 && entries > len(content) {
		t.Errorf("%d frames in %d bytes", entries, len(content))
	}
}
