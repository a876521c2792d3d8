package integration

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// packet is one packet of a media file, as ffprobe sees it. Times are in milliseconds.
type packet struct {
	dts, pts int
	key      bool
	hash     string
}

// packetList is the packets of a file by kind: "video", "audio".
type packetList map[string][]packet

func probePackets(t *testing.T, file string) packetList {
	t.Helper()
	out := output(t, "ffprobe", "-v", "fatal", "-fflags", "+discardcorrupt", "-show_packets", "-show_data_hash", "md5",
		"-show_entries", "packet=codec_type,pts,dts,flags,data_hash", "-of", "json", file)
	var probe struct {
		Packets []struct {
			Kind  string `json:"codec_type"`
			PTS   int    `json:"pts"`
			DTS   int    `json:"dts"`
			Flags string `json:"flags"`
			Hash  string `json:"data_hash"`
		} `json:"packets"`
	}
	if err := json.Unmarshal([]byte(out), &probe); err != nil {
		t.Fatalf("ffprobe %s: %v", file, err)
	}
	list := packetList{}
	for _, p := range probe.Packets {
		if p.Kind != "video" && p.Kind != "audio" {
			continue // script data, which ffprobe takes for subtitles
		}
		list[p.Kind] = append(list[p.Kind], packet{p.DTS, p.PTS, strings.HasPrefix(p.Flags, "K"), p.Hash})
	}
	return list
}

// run says what a recording must be like to be a gapless run of what was published.
type run struct {
	atLeast int  // packets of each kind
	toEnd   bool // up to the last packet published,
	mayLose int  // or nearly so
	shift   int  // ms that the publisher adds to all timestamps
}

// check compares a recording with what was published.
func (r run) check(t *testing.T, published, received packetList) {
	t.Helper()
	for kind := range published {
		if err := r.compare(published[kind], received[kind], kind == "video"); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for kind := range received {
		if published[kind] == nil {
			t.Errorf("%d packets of %s, where none were published", len(received[kind]), kind)
		}
	}
}

func (r run) compare(published, received []packet, video bool) error {
	if least := max(r.atLeast, 1); len(received) < least {
		return fmt.Errorf("%d packets, want %d or more", len(received), least)
	}
	if video && !received[0].key {
		return fmt.Errorf("the first packet is no keyframe")
	}
	begin := find(published, received[0].hash)
	if begin < 0 {
		return fmt.Errorf("the first packet, at %d ms, was not published", received[0].dts)
	}
	for i, got := range received {
		if begin+i == len(published) {
			return fmt.Errorf("packet %d, at %d ms, comes after the last one published", i, got.dts)
		}
		want := published[begin+i]
		want.dts, want.pts = want.dts+r.shift, want.pts+r.shift
		if got != want {
			return fmt.Errorf("packet %d of %d (%d of %d published) is %v, want %v%s",
				i, len(received), begin+i, len(published), got, want, whereElse(published, got))
		}
	}
	if end := begin + len(received); r.toEnd && end+r.mayLose < len(published) {
		return fmt.Errorf("the last %d of %d packets are missing", len(published)-end, len(published))
	}
	return nil
}

func find(list []packet, hash string) int {
	for i, p := range list {
		if p.hash == hash {
			return i
		}
	}
	return -1
}

func whereElse(published []packet, got packet) string {
	if i := find(published, got.hash); i >= 0 {
		return "; it was published as packet " + strconv.Itoa(i)
	}
	return "; it was never published"
}

// ascends says whether the timestamps never step back.
func ascends(list []packet) error {
	for i := 1; i < len(list); i++ {
		if list[i].dts < list[i-1].dts {
			return fmt.Errorf("packet %d of %d, at %d ms, comes behind %d ms", i, len(list), list[i].dts, list[i-1].dts)
		}
	}
	return nil
}
