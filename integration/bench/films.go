//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"natscast/internal/amf"
	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/testpattern"
)

const (
	films       = 50
	filmsStream = "film-%d.flv"
	filmLength  = time.Minute
	filmGOP     = 2 * time.Second
	longStream  = "long.flv"
)

// makeFilms makes a directory with one film for all, of some length, and many short ones.
func makeFilms(w *workshop, bitrate int, long time.Duration) (dir string, err error) {
	if dir, err = w.temp(); err != nil {
		return "", err
	}
	if err := writeFilm(dir, longStream, bitrate, long); err != nil {
		return "", err
	}
	for i := range films {
		if err := writeFilm(dir, fmt.Sprintf(filmsStream, i), bitrate, filmLength); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// writeFilm writes the test pattern as a file with an index of its keyframes, without which
// nginx-rtmp cannot seek.
func writeFilm(dir, name string, bitrate int, length time.Duration) error {
	source, err := testpattern.New(testpattern.Config{
		Label: name, FPS: fanoutFPS, Bitrate: bitrate - audioBitrate, KeyframeInterval: filmGOP,
	})
	if err != nil {
		return err
	}
	var tags []byte
	var keys index
	for {
		f := source.Next(time.Time{})
		if time.Duration(f.DTS)*time.Millisecond >= length {
			break
		}
		if f.Kind == media.Data {
			continue
		}
		if f.Keyframe && f.Kind == media.Video && !f.Header {
			keys = append(keys, key{len(tags), f.DTS})
		}
		tags = flv.AppendTag(tags, f)
	}
	about, err := keys.tag(length, 0)
	if err == nil {
		about, err = keys.tag(length, len(flv.FileHeader)+len(about)) // which has the same size
	}
	if err != nil {
		return err
	}
	return os.WriteFile(
		filepath.Join(dir, name),
		append(append(flv.FileHeader[:len(flv.FileHeader):len(flv.FileHeader)], about...), tags...),
		0o600,
	)
}

// index tells where keyframes are.
type index []key

type key struct {
	at  int // behind onMetaData
	dts uint32
}

// tag returns onMetaData for a file in which the other tags begin at an offset.
func (x index) tag(length time.Duration, offset int) ([]byte, error) {
	var times, positions amf.StrictArray
	for _, k := range x {
		times = append(times, float64(k.dts)/1000)
		positions = append(positions, float64(offset+k.at))
	}
	payload, err := amf.Append0(nil, "onMetaData", &amf.ECMAArray{Members: amf.Members{
		{Key: "duration", Value: length.Seconds()},
		{
			Key: "keyframes",
			Value: &amf.Object{
				Members: amf.Members{
					{Key: "times", Value: times},
					{Key: "filepositions", Value: positions},
				},
			},
		},
	}})
	if err != nil {
		return nil, err
	}
	return flv.AppendTag(nil, media.NewFrame(media.Data, 0, payload)), nil
}
