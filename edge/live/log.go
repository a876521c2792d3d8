package live

import "natscast/edge/wire"

// The bounds of a hub's log. It always holds the newest GOP, unless that alone is larger than
// maxLogBytes; of what is older, as much as a slow player may lag.
const (
	maxLag      = 3000     // ms
	maxLogBytes = 64 << 20 // of one stream
)

// view is a stream's log as it was at one moment. It is immutable: a reader loads it once and
// needs no lock.
type view struct {
	entries []*wire.Entry
	base    uint64 // the index of entries[0]
	key     uint64 // the index of the newest entry to join at; valid if joinable
	bytes   int    // the size of all entries

	joinable bool
}

func (v *view) head() uint64                { return v.base + uint64(len(v.entries)) }
func (v *view) at(index uint64) *wire.Entry { return v.entries[index-v.base] }

// add returns the view with e appended and what is too old left out. The entries' array is
// shared with v: only one goroutine, the hub's, may call it.
func (v *view) add(e *wire.Entry) *view {
	next := *v
	next.entries = append(v.entries, e)
	next.bytes += len(e.Wire)
	switch {
	case e.Key:
		next.key, next.joinable = next.head()-1, true
	case e.End:
		next.joinable = false
	}
	next.trim()
	return &next
}

// unjoinable returns the view without a place to join at.
func (v *view) unjoinable() *view {
	next := *v
	next.joinable = false
	return &next
}

func (v *view) trim() {
	newest := v.entries[len(v.entries)-1]
	for len(v.entries) > 1 {
		oldest := v.entries[0]
		old := newest.Arrived.Sub(oldest.Arrived).Milliseconds() > maxLag
		inGOP := v.joinable && v.base >= v.key
		if v.bytes <= maxLogBytes && (inGOP || !old) {
			return
		}
		if inGOP {
			v.joinable = false // the GOP lost its beginning
		}
		v.bytes -= len(oldest.Wire)
		v.entries = v.entries[1:]
		v.base++
	}
}

// kinds says what media an epoch has, as far as it is in the log.
func (v *view) kinds(epoch uint64) (audio, video bool) {
	for _, e := range v.entries {
		if e.Epoch == epoch {
			a, v := e.Kinds()
			audio, video = audio || a, video || v
		}
	}
	return audio, video
}

// endsHere says that the newest entry is an end.
func (v *view) endsHere() bool {
	n := len(v.entries)
	return n > 0 && v.entries[n-1].End
}
