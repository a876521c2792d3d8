package replica

import (
	"maps"
	"slices"
	"time"
)

// own is a write of this replica that was published, and not yet heard of.
type own struct {
	write    *Write
	batch    uint64          // the number of the first write of its batch
	parts    func() []Change // as far as they are known to be stored
	stored   time.Time       // when the store has said so; the tail should tell of it then
	revision uint64          // not before that of the write, when it is stored; 0 when that is not known
}

// Expect notes that a write was published. Numbers ascend; batch is that of the first write that
// was published together with it. parts tells those changes of it that are known to be stored:
// others may overwrite them before they are heard of.
func (r *Replica) Expect(number, batch uint64, w *Write, parts func() []Change) {
	r.pending[number] = &own{write: w, batch: batch, parts: parts}
}

// Acknowledge notes that the store has all of a write, at a revision or before it; 0 when the store
// does not tell.
func (r *Replica) Acknowledge(number, revision uint64, now time.Time) {
	if o := r.pending[number]; o != nil {
		o.stored, o.revision = now, revision
	}
}

// Refuse gives up a write. It may have been stored: then it comes as somebody else's change.
func (r *Replica) Refuse(number uint64, err error) {
	if o := r.takeOwn(number); o != nil {
		r.audience.Settled(r.state, o.write, err)
	}
}

// Late misses what was stored before a time, and not told of. unknown are the writes whose revision
// is not known: [Replica.Assume] takes it.
func (r *Replica) Late(before time.Time) (late bool, unknown []uint64) {
	for number, o := range r.pending {
		if o.stored.IsZero() || o.stored.After(before) {
			continue
		}
		late = true
		if o.revision == 0 {
			unknown = append(unknown, number)
		} else {
			r.Miss(o.revision)
		}
	}
	return late, unknown
}

// Assume takes the newest revision of the object for that of writes that were stored before.
func (r *Replica) Assume(numbers []uint64, newest uint64) {
	for _, n := range numbers {
		if o := r.pending[n]; o != nil {
			o.revision = newest
		}
	}
	r.Miss(newest)
}

// settle ends own writes, in their order.
func (r *Replica) settle(those func(*own) bool) {
	if len(r.pending) == 0 {
		return
	}
	for _, number := range slices.Sorted(maps.Keys(r.pending)) {
		if o := r.pending[number]; those(o) {
			delete(r.pending, number)
			r.audience.Settled(r.state, o.write, nil)
		}
	}
}

// takeOwn returns a write that is expected, the first time.
func (r *Replica) takeOwn(number uint64) *own {
	o := r.pending[number]
	delete(r.pending, number)
	return o
}
