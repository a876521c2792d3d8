//go:build linux

package main

import (
	"sync"
	"time"

	"natscast/internal/media"
	"natscast/internal/testpattern"
)

// ledger knows what was published, for the players to compare. Frames are known by
// their timestamps, which every server passes on.
type ledger struct {
	mu       sync.Mutex
	entries  map[frameID]entry
	ordinals [2]int // of the next audio and video frame
	counting bool   // between two silences
	frames   int    // published while counting
	bytes    int64  // their payload
}

type frameID struct {
	video bool
	dts   uint32
}

type entry struct {
	ordinal int // among the frames of its kind
	at      time.Time
	counted bool
}

func newLedger() *ledger { return &ledger{entries: map[frameID]entry{}} }

// add enters a frame that is about to be written at that time.
func (l *ledger) add(f media.Frame, at time.Time) {
	if f.Header || f.Kind == media.Data {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	id, kind := identify(f)
	l.entries[id] = entry{l.ordinals[kind], at, l.counting}
	l.ordinals[kind]++
	if l.counting {
		l.frames++
		l.bytes += int64(len(f.Payload))
	}
}

func (l *ledger) find(f media.Frame) (e entry, ok bool) {
	id, _ := identify(f)
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok = l.entries[id]
	return e, ok
}

func (l *ledger) count(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counting = on
}

// counted returns how much was published while counting, to each player.
func (l *ledger) counted() (frames int, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.frames, l.bytes
}

func identify(f media.Frame) (id frameID, kind int) {
	if f.Kind == media.Video {
		return frameID{true, f.DTS}, 1
	}
	return frameID{false, f.DTS}, 0
}

// intact says whether a video frame is the one that the ledger takes it for.
func intact(f media.Frame, e entry) bool {
	mark, ok := testpattern.ParseMark(f.Payload)
	return ok && mark.Frame == uint64(e.ordinal)
}
