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

// member is one client's use of an object.
type member struct {
	client  *Client
	label   string // the client's name for the object
	room    *room
	dialect Dialect
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
		m.client.Answer(m.dialect.Refused(err))
		return
	}
	m.welcomed = true
	m.client.Answer(m.dialect.Welcome(s))
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
			m.client.Answer(m.dialect.Welcome(s))
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
		w := u.Write.By.(*Submission)
		writer = w.member
		switch {
		case !writer.welcomed:
		case writer.stale:
			writer.client.Answer(writer.dialect.Settled(s, w, nil))
		default:
			writer.client.Answer(writer.dialect.Written(s, u, w))
		}
	}
	r.tell(s, writer, func(d Dialect) []byte { return d.Update(s, u) })
}

// Sent implements [shared.Audience].
func (r *room) Sent(s *shared.State, c shared.Call) {
	r.tell(s, nil, func(d Dialect) []byte { return d.Call(s, c) })
}

// Settled implements [shared.Audience].
func (r *room) Settled(s *shared.State, kw *shared.Write, err error) {
	w := kw.By.(*Submission)
	w.member.client.Answer(w.member.dialect.Settled(s, w, err))
}

// tell sends the same to all members but one, each in its own dialect.
func (r *room) tell(s *shared.State, but *member, say func(Dialect) []byte) {
	var said []saying // there are few dialects
	for _, m := range r.members {
		if m == but || !m.welcomed {
			continue
		}
		i := slices.IndexFunc(said, func(s saying) bool { return s.dialect.IsSame(m.dialect) })
		if i < 0 {
			i = len(said)
			said = append(said, saying{m.dialect, say(m.dialect)})
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
	dialect Dialect
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
					m.stale = !m.client.offer(m.dialect.Welcome(s))
				}
				if m.stale {
					r.refreshSoon()
				}
			}
		})
	})
}
