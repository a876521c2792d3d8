package mediafile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	joyflv "github.com/nareix/joy4/format/flv"

	"natscast/internal/amf"
	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/testmedia"
)

// joy4's demuxer reads the same packets.
func TestAgainstJoy4(t *testing.T) {
	t.Parallel()
	b := flvFile(pattern(t, 5))
	f := open(t, save(t, "a.flv", b))
	demuxer := joyflv.NewDemuxer(bytes.NewReader(b))
	streams, err := demuxer.Streams()
	if err != nil {
		t.Fatal(err)
	}
	got := map[bool][]string{}
	for _, frame := range allFrames(t, f) {
		cts, body := testmedia.Unpack(t, frame)
		video := frame.Kind == media.Video
		got[video] = append(got[video], fmt.Sprint(frame.DTS, cts, frame.Keyframe, len(body), string(body)))
	}
	want := map[bool][]string{}
	for {
		p, err := demuxer.ReadPacket()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		video := streams[p.Idx].Type().IsVideo()
		want[video] = append(want[video], fmt.Sprint(p.Time.Milliseconds(), p.CompositionTime.Milliseconds(), p.IsKeyFrame, len(p.Data), string(p.Data)))
	}
	for video := range want {
		if !slices.Equal(got[video], want[video]) {
			t.Errorf("video %v: %d packets, want %d, or others", video, len(got[video]), len(want[video]))
		}
	}
}

func TestFLV(t *testing.T) {
	t.Parallel()
	frames := pattern(t, 5)
	f := open(t, save(t, "a.flv", flvFile(frames)))
	headers := f.Headers()
	if len(headers) != 3 || headers[0].Kind != media.Data || headers[1].Kind != media.Video || headers[2].Kind != media.Audio {
		t.Fatalf("headers %v", headers)
	}
	members, _ := readMetadata(headers[0])
	if d := members.Number("duration"); d != f.Info().Duration.Seconds() || d < 4.9 || d > 5.1 {
		t.Errorf("duration %v in onMetaData, %v", d, f.Info().Duration)
	}
	info := f.Info()
	if info.Size == 0 || info.Modified.IsZero() || info.Media.Width == 0 || info.Media.Audio != "mp4a.40.2" {
		t.Errorf("info %+v", info)
	}
	var coded []media.Frame
	for _, frame := range frames {
		if !frame.Header {
			coded = append(coded, frame)
		}
	}
	got := allFrames(t, f)
	if len(got) != len(coded) {
		t.Fatalf("%d frames, want %d", len(got), len(coded))
	}
	slices.SortStableFunc(coded, func(a, b media.Frame) int {
		return compareEntries(entry{dts: int64(a.DTS), word: flagVideo * uint32(a.Kind&1)}, entry{dts: int64(b.DTS), word: flagVideo * uint32(b.Kind&1)})
	})
	for i := range got {
		if got[i].Kind != coded[i].Kind || got[i].DTS != coded[i].DTS || !bytes.Equal(got[i].Payload, coded[i].Payload) {
			t.Fatalf("frame %d is %v at %d, want %v at %d", i, got[i].Kind, got[i].DTS, coded[i].Kind, coded[i].DTS)
		}
	}
}

// frame parses what tests write: the kind, the time, the body.
func frame(kind media.Kind, dts uint32, body string) media.Frame {
	return media.NewFrame(kind, dts, []byte(body))
}

const (
	avcHeaderA = "\x17\x00\x00\x00\x00A"
	avcHeaderB = "\x17\x00\x00\x00\x00B"
	avcKey     = "\x17\x01\x00\x00\x00key"
	avcInter   = "\x27\x01\x00\x00\x00inter"
	aacHeaderA = "\xaf\x00\x12\x10"
	aacFrame   = "\xaf\x01frame"
)

func times(frames []media.Frame) (ms []uint32) {
	for _, f := range frames {
		ms = append(ms, f.DTS)
	}
	return ms
}

// What FLV files have for timestamps, and what is made of it.
func TestTimes(t *testing.T) {
	t.Parallel()
	video := func(dts uint32) media.Frame { return frame(media.Video, dts, avcKey) }
	audio := func(dts uint32) media.Frame { return frame(media.Audio, dts, aacFrame) }
	data := func(dts uint32) media.Frame { return frame(media.Data, dts, "\x02\x00\x02hi") }
	for name, c := range map[string]struct {
		in   []media.Frame
		want []uint32
	}{
		"from 0":             {[]media.Frame{video(0), video(40)}, []uint32{0, 40}},
		"from elsewhere":     {[]media.Frame{video(5000), audio(5010), video(5040)}, []uint32{0, 10, 40}},
		"extended":           {[]media.Frame{video(1 << 24), video(1<<24 + 40)}, []uint32{0, 40}},
		"wraps":              {[]media.Frame{video(1<<32 - 20), video(20)}, []uint32{0, 40}},
		"sound first":        {[]media.Frame{video(80), audio(57), video(120)}, []uint32{0, 23, 63}},
		"badly interleaved":  {[]media.Frame{video(0), video(40), audio(0), audio(20)}, []uint32{0, 0, 20, 40}},
		"back in a track":    {[]media.Frame{video(0), video(40), video(30), video(80)}, []uint32{0, 40, 40, 80}},
		"another recording":  {[]media.Frame{video(0), video(60000), video(0), video(40)}, []uint32{0, 60000, 60000, 60040}},
		"data at 0":          {[]media.Frame{video(20000), video(20040), data(0), video(20080)}, []uint32{0, 40, 40, 80}},
		"data":               {[]media.Frame{video(20000), data(20030), video(20040)}, []uint32{0, 30, 40}},
		"data before frames": {[]media.Frame{data(9000), video(20000)}, []uint32{0, 0}},
	} {
		f := open(t, save(t, "a.flv", flvFile(c.in)))
		if got := times(allFrames(t, f)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// Headers that change within a file are in force from there on.
func TestHeadersChange(t *testing.T) {
	t.Parallel()
	var in []media.Frame
	add := func(kind media.Kind, dts uint32, body string) { in = append(in, frame(kind, dts, body)) }
	add(media.Video, 0, avcHeaderA)
	add(media.Audio, 0, aacHeaderA)
	for dts := uint32(0); dts < 6000; dts += 500 {
		switch dts {
		case 2000, 4000:
			add(media.Video, dts, avcHeaderB)
		case 3000, 5000:
			add(media.Video, dts, avcHeaderA)
		}
		add(media.Audio, dts, aacHeaderA) // repeated
		body := avcInter
		if dts%1000 == 0 {
			body = avcKey
		}
		add(media.Video, dts, body)
		add(media.Audio, dts, aacFrame)
	}
	f := open(t, save(t, "a.flv", flvFile(in)))
	if f.Segments() != 6 {
		t.Fatalf("%d segments", f.Segments())
	}
	for n, want := range []string{avcHeaderA, avcHeaderA, avcHeaderB, avcHeaderA, avcHeaderB, avcHeaderA} {
		headers := f.HeadersAt(n)
		if len(headers) != 3 || string(headers[1].Payload) != want {
			t.Errorf("segment %d has the headers %v", n, headers)
		}
		if headers[0].DTS != 0 || headers[1].DTS != uint32(n)*1000 {
			t.Errorf("segment %d has headers at %d", n, times(headers))
		}
	}
	headers := 0
	for _, frame := range allFrames(t, f) {
		if frame.Header {
			headers++
		}
	}
	if headers != 4 {
		t.Errorf("%d headers among the frames", headers)
	}
	if h := f.Headers(); string(h[1].Payload) != avcHeaderA {
		t.Errorf("the first header is %q", h[1].Payload)
	}
}

// onMetaData gets the duration and loses what is true in the file alone; other data stays.
func TestMetadata(t *testing.T) {
	t.Parallel()
	body, err := amf.Append0(nil, "onMetaData", &amf.ECMAArray{Members: amf.Members{
		{Key: "duration", Value: 99.0}, {Key: "filesize", Value: 5.0}, {Key: "encoder", Value: "me"},
		{Key: "keyframes", Value: &amf.Object{Members: amf.Members{{Key: "times", Value: amf.StrictArray{1.0}}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	f := open(t, save(t, "a.flv", flvFile([]media.Frame{
		frame(media.Data, 0, string(body)), frame(media.Video, 0, avcHeaderA), frame(media.Video, 0, avcKey),
		frame(media.Data, 20, "\x02\x00\x05onCue"), frame(media.Video, 40, avcKey),
	})))
	members, ok := readMetadata(f.Headers()[0])
	if !ok || len(members) != 2 || members.Number("duration") != 0.08 || members.String("encoder") != "me" {
		t.Errorf("onMetaData %v", members)
	}
	frames := allFrames(t, f)
	if len(frames) != 3 || frames[1].Kind != media.Data || string(frames[1].Payload) != "\x02\x00\x05onCue" {
		t.Errorf("frames %v", frames)
	}
}

// A file that is cut off anywhere has the frames before that.
func TestCutOff(t *testing.T) {
	t.Parallel()
	b := flvFile(pattern(t, 1))
	path := save(t, "a.flv", b)
	whole := open(t, path).entries
	for cut := len(b) - 1; cut > 0; cut -= 997 {
		if err := os.Truncate(path, int64(cut)); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err != nil {
			fails(t, err)
			continue
		}
		if n := len(f.entries); n > len(whole) || f.entries[n-1].pos+int64(f.entries[n-1].size()) > int64(cut) {
			t.Errorf("%d frames in %d bytes", n, cut)
		}
		f.Close()
	}
}

// A file that grows is indexed like the whole.
func TestExtend(t *testing.T) {
	t.Parallel()
	frames := pattern(t, 6)
	frames = slices.Insert(frames, len(frames)/2, frame(media.Video, frames[len(frames)/2].DTS, avcHeaderB))
	b := flvFile(frames)
	path := save(t, "a.flv", b[:len(b)/7])
	f := open(t, path)
	first, err := f.Read(0)
	if err != nil {
		t.Fatal(err)
	}
	for i := 2; i <= 7; i++ {
		appendTo(t, path, b[len(b)*(i-1)/7:len(b)*i/7])
		if again, err := f.Read(0); err != nil || len(again) != len(first) {
			t.Fatalf("reading the grown file: %v", err)
		}
		if f, err = f.Extend(); err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		first, err = f.Read(0)
		if err != nil {
			t.Fatal(err)
		}
	}
	whole := open(t, path)
	if !slices.Equal(f.entries, whole.entries) || !slices.Equal(f.segments, whole.segments) || f.Asset() != whole.Asset() {
		t.Errorf("%d frames, %d when opened anew", len(f.entries), len(whole.entries))
	}
	if same, err := f.Extend(); err != nil || same.Asset() != f.Asset() {
		t.Errorf("a file that has not grown: %v", err)
	} else {
		same.Close()
	}
}

func appendTo(t *testing.T, path string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
}

// A file that is another one is not read.
func TestChanged(t *testing.T) {
	t.Parallel()
	frames := pattern(t, 2)
	b, other := flvFile(frames), flvFile(pattern(t, 5)[20:])
	movie := packMovie(50*sampleSize, videoLeaves(50))
	for name, c := range map[string]struct {
		content []byte
		change  func(path string) error
	}{
		"touched": {b, func(path string) error { return os.Chtimes(path, time.Time{}, time.Unix(1, 0)) }},
		"removed": {b, os.Remove},
		"shorter": {b, func(path string) error { return os.Truncate(path, int64(len(b)-1)) }},
		"replaced": {b, func(path string) error {
			return errors.Join(os.WriteFile(path+"2", b, 0o600), os.Rename(path+"2", path))
		}},
		"overwritten": {b, func(path string) error { return os.WriteFile(path, other, 0o600) }},
		"grown MP4":   {movie, func(path string) error { return os.WriteFile(path, append(movie, packBox("free")...), 0o600) }},
	} {
		path := save(t, "a", c.content)
		f := open(t, path)
		if _, err := f.Read(0); err != nil {
			t.Errorf("%s: before: %v", name, err)
		}
		if err := c.change(path); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Read(0); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
		g, err := f.Extend()
		if name == "removed" {
			fails(t, err)
			continue
		}
		if err != nil {
			t.Errorf("%s: extended: %v", name, err)
			continue
		}
		if _, err := g.Read(0); err != nil {
			t.Errorf("%s: extended: %v", name, err)
		}
		g.Close()
	}
}

func TestHostileFLV(t *testing.T) {
	t.Parallel()
	start := string(flv.FileHeader)
	for name, content := range map[string]string{
		"empty":                "",
		"no header":            "FLV",
		"no tags":              start,
		"offset of 0":          "FLV\x01\x05\x00\x00\x00\x00\x00\x00\x00\x00",
		"offset beyond":        "FLV\x01\x05\xff\xff\xff\xff\x00\x00\x00\x00",
		"tag beyond":           start + "\x09\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x17",
		"garbage":              start + string(flv.AppendTag(nil, frame(media.Video, 0, avcKey))) + "what is this?",
		"neither FLV nor MP4":  "RIFF....WAVE",
		"headers alone":        string(flvFile([]media.Frame{frame(media.Video, 0, avcHeaderA)})),
		"an unknown tag first": start + "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0b",
	} {
		_, err := Open(save(t, "a.flv", []byte(content)))
		if err == nil || !errors.Is(err, ErrFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrFile) {
		t.Errorf("a directory: %v", err)
	}
	if _, err := Open("/does/not/exist"); !errors.Is(err, ErrFile) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
