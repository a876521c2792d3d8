package mediafile

import (
	"encoding/binary"
	"os"
	"slices"
	"testing"

	"natscast/internal/flv"
	"natscast/internal/media"
)

// An hour of 25 pictures and 43 sounds a second, 1.2 Mbps.
const (
	hour         = 3600
	pictureBytes = 5000
	soundBytes   = 400
)

// hourMP4 writes an MP4 file of an hour whose media is a hole.
func hourMP4(b *testing.B) string {
	b.Helper()
	const pictures, sounds = 25 * hour, 43 * hour
	offsets := func(chunks, size, skip int) []uint32 {
		var out []uint32
		for i := range chunks {
			out = append(out, uint32(mdatAt+i*(25*pictureBytes+43*soundBytes)+skip))
		}
		return out
	}
	video := videoLeaves(pictures)
	video["stsz"] = packBox("stsz", 0, 0, pictures, slices.Repeat([]uint32{pictureBytes}, pictures))
	video["stsc"] = packBox("stsc", 0, 1, 1, 25, 1)
	video["stco"] = packBox("stco", 0, hour, offsets(hour, pictureBytes, 0))
	audio := soundLeaves(sounds)
	audio["mdhd"] = packBox("mdhd", 0, 0, 0, 43*sampleTime, 0, 0)
	delete(audio, "elst")
	audio["stsz"] = packBox("stsz", 0, 0, sounds, slices.Repeat([]uint32{soundBytes}, sounds))
	audio["stsc"] = packBox("stsc", 0, 1, 1, 43, 1)
	audio["stco"] = packBox("stco", 0, hour, offsets(hour, soundBytes, 25*pictureBytes))
	const mdat = hour * (25*pictureBytes + 43*soundBytes)
	head := packMovie(0, video, audio)
	binary.BigEndian.PutUint32(head[16:], mdat+boxHeader)
	path := save(b, "a.mp4", head[:mdatAt])
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt(head[mdatAt:], mdatAt+mdat); err != nil {
		b.Fatal(err)
	}
	return path
}

// hourFLV writes an FLV file of an hour. Its frames are smaller.
func hourFLV(b *testing.B) string {
	b.Helper()
	out := slices.Clone(flv.FileHeader)
	out = flv.AppendTag(out, frame(media.Video, 0, avcHeaderA))
	out = flv.AppendTag(out, frame(media.Audio, 0, aacHeaderA))
	key, inter, sound := make([]byte, 500), make([]byte, 500), make([]byte, 100)
	copy(key, avcKey)
	copy(inter, avcInter)
	copy(sound, aacFrame)
	for i := range uint32(25 * hour) {
		body := inter
		if i%50 == 0 {
			body = key
		}
		out = flv.AppendTag(out, media.Frame{Kind: media.Video, DTS: i * 40, Payload: body})
		out = flv.AppendTag(out, media.Frame{Kind: media.Audio, DTS: i * 40, Payload: sound})
		out = flv.AppendTag(out, media.Frame{Kind: media.Audio, DTS: i*40 + 20, Payload: sound})
	}
	return save(b, "a.flv", out)
}

func benchmarkOpen(b *testing.B, path string) {
	b.ReportAllocs()
	for b.Loop() {
		f, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}

func BenchmarkOpenMP4(b *testing.B) { benchmarkOpen(b, hourMP4(b)) }

func BenchmarkOpenFLV(b *testing.B) { benchmarkOpen(b, hourFLV(b)) }

func BenchmarkExtend(b *testing.B) {
	f := open(b, hourFLV(b))
	b.ReportAllocs()
	for b.Loop() {
		g, err := f.Extend()
		if err != nil {
			b.Fatal(err)
		}
		g.Close()
	}
}

func benchmarkRead(b *testing.B, path string) {
	f := open(b, path)
	b.ReportAllocs()
	b.SetBytes(int64(f.Segment(100).Bytes))
	n := 0
	for b.Loop() {
		if _, err := f.Read(n % f.Segments()); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

func BenchmarkReadMP4(b *testing.B) { benchmarkRead(b, hourMP4(b)) }

func BenchmarkReadFLV(b *testing.B) { benchmarkRead(b, hourFLV(b)) }
