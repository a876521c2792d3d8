package objects

import (
	"slices"
	"sync/atomic"
	"time"

	"natscast/internal/media"
	"natscast/internal/timers"
	shared "natscast/kv/objects"
)

// refreshInterval is how soon it is seen whether a client that was slow takes bytes again.
const refreshInterval = 200 * time.Millisecond

// dialect says in a client's language what happens to an object. Equal dialects say it in the same
// bytes, which nobody may change: an update is encoded once for all who do not differ.
type dialect interface {
	comparable() any
	// welcome is the whole object, for one who begins to use it or has missed something.
	welcome(s *shared.State) []byte
	// update tells those who have not asked for it; nil for nothing to tell.
	update(s *shared.State, u shared.Update) []byte
	// written tells the one who has asked for it.
	written(s *shared.State, u shared.Update, w *write) []byte
	call(s *shared.State, c shared.Call) []byte
	// settled answers a write that no update tells of.
	settled(s *shared.State, w *write, err error) []byte
	// refused answers who may not use the object.
	refused(err error) []byte
}

// member is one client's use of an object.
type member struct {
	client  *Client
	label   string // the client's name for the object
	room    *room
	dialect dialect
	wants   shared.Persistence
	refused shared.Void // it may not use the object, and is none of the room's any more
	exited  atomic.Bool

	// Guarded by the object's lock.
	welcomed bool
	stale    bool // it has missed something
}

// room is the audience of an object.
type room struct {
	// Static.
	registry *Registry
	name     media.Name
	object   *shared.Object

	// Guarded by registry.mu.
	users int
	idle  *timers.Timer

	// Guarded by the object's lock.
	opened     bool
	err        error // why it could not be opened
	members    []*member
	refreshing bool
}

// add makes a member hear of the object, from now or from when it is open.
func (r *room) add(m *member) {
	r.object.Do(func(s *shared.State) {
		r.members = append(r.members, m)
		if r.opened || r.err != nil {
			r.admit(s, m)
		}
	})
}

// admit greets a member, or sends it away.
func (r *room) admit(s *shared.State, m *member) {
	err := r.err
	if err == nil &&
		(m.wants == shared.Persistent && !s.Persistent || m.wants == shared.Temporary && s.Persistent) {
		err = ErrPersistence
	}
	if err != nil {
		r.members = slices.DeleteFunc(r.members, func(o *member) bool { return o == m })
		m.refused.Set()
		r.registry.exit(m)
		m.client.answer(m.dialect.refused(err))
		return
	}
	m.welcomed = true
	m.client.answer(m.dialect.welcome(s))
}

func (r *room) remove(m *member) {
	r.object.Do(func(*shared.State) {
		r.members = slices.DeleteFunc(r.members, func(o *member) bool { return o == m })
	})
}

// again sends a member the whole object once more.
func (r *room) again(m *member) {
	r.object.Do(func(s *shared.State) {
		if m.welcomed {
			m.client.answer(m.dialect.welcome(s))
		}
	})
}

// Opened implements [shared.Audience].
func (r *room) Opened(s *shared.State, err error) {
	r.opened, r.err = err == nil, err
	for _, m := range slices.Clone(r.members) {
		r.admit(s, m)
	}
	if err != nil {
		r.registry.forget(r)
	}
}

// Changed implements [shared.Audience].
func (r *room) Changed(s *shared.State, u shared.Update) {
	var writer *member
	if u.Write != nil {
		w := u.Write.By.(*write)
		writer = w.member
		switch {
		case !writer.welcomed:
		case writer.stale:
			writer.client.answer(writer.dialect.settled(s, w, nil))
		default:
			writer.client.answer(writer.dialect.written(s, u, w))
		}
	}
	r.tell(s, writer, func(d dialect) []byte { return d.update(s, u) })
}

// Sent implements [shared.Audience].
func (r *room) Sent(s *shared.State, c shared.Call) {
	r.tell(s, nil, func(d dialect) []byte { return d.call(s, c) })
}

// Settled implements [shared.Audience].
func (r *room) Settled(s *shared.State, kw *shared.Write, err error) {
	w := kw.By.(*write)
	w.member.client.answer(w.member.dialect.settled(s, w, err))
}

// tell sends the same to all members but one, each in its own dialect.
func (r *room) tell(s *shared.State, but *member, say func(dialect) []byte) {
	var said []saying // there are few dialects
	for _, m := range r.members {
		if m == but || !m.welcomed {
			continue
		}
		key := m.dialect.comparable()
		i := slices.IndexFunc(said, func(s saying) bool { return s.dialect == key })
		if i < 0 {
			i = len(said)
			said = append(said, saying{key, say(m.dialect)})
		}
		if len(said[i].bytes) == 0 {
			continue
		}
		m.stale = m.stale || !m.client.offer(said[i].bytes)
		if m.stale {
			r.refreshSoon()
		}
	}
}

// saying is what all hear that speak alike.
type saying struct {
	dialect any
	bytes   []byte
}

// refreshSoon sends those the whole object that have missed something, as soon as they take it.
func (r *room) refreshSoon() {
	if r.refreshing {
		return
	}
	r.refreshing = true
	r.registry.timers.After(refreshInterval, func() {
		r.object.Do(func(s *shared.State) {
			r.refreshing = false
			for _, m := range r.members {
				if m.stale {
					m.stale = !m.client.offer(m.dialect.welcome(s))
				}
				if m.stale {
					r.refreshSoon()
				}
			}
		})
	})
}
