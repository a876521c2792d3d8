package objects

import (
	"cmp"
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"natscast/internal/media"
	"natscast/internal/reason"
	"natscast/internal/timers"
	shared "natscast/kv/objects"
)

// Errors that clients are told.
var (
	// ErrPersistence says that the object is persistent and was asked for as a temporary one, or
	// the other way round.
	ErrPersistence = errors.New("the object has another persistence")
	// ErrNoRead, ErrNoCreate and ErrNoWrite say that the client may not do that.
	ErrNoRead   = errors.New("not allowed to read the object")
	ErrNoCreate = errors.New("not allowed to create the object")
	ErrNoWrite  = errors.New("not allowed to write to the object")
	// ErrNotUsed says that the client writes to an object that it does not use.
	ErrNotUsed = errors.New("the client does not use the object")
	// ErrFlood ends a client that keeps writing too fast.
	ErrFlood error = reason.ObjectFlood
	// ErrTooMany says that the client uses too many objects.
	ErrTooMany = errors.New("the client uses too many shared objects")
)

// Action is what a client wants to do with an object.
type Action string

// The actions. Read comes before every use; Create only when the object is not known.
const (
	Create Action = "create"
	Read   Action = "read"
	Write  Action = "write"
	Send   Action = "send"
)

// Request asks whether a client may do something.
type Request struct {
	Action     Action
	Client     string // address and port
	Object     media.Name
	Persistent bool          // of Create
	Edits      []shared.Edit // of Write; none to clear the object
	Call       *shared.Call  // of Send
}

// Config is what an operator may choose.
type Config struct {
	// Rate is how many attributes a client may change a second, on average; 0 means 500. Ten times
	// as many end it.
	Rate float64
	// Counts take the clients of the web that are closed; nil for nothing.
	Counts *reason.Counts
	// ChunkSize is that of the RTMP messages.
	ChunkSize int
	// Outlet makes the outlet of a TCP connection, which nobody else may write to or close from
	// then on.
	Outlet func(net.Conn) (Outlet, error)
	// Allow decides what clients may do; nil allows everything. It must not wait.
	Allow func(Request) bool
}

const defaultRate = 500

// Registry holds the objects that the clients of a node use.
type Registry struct {
	config  Config
	objects *shared.Objects

	mu      sync.Mutex // after an object's lock, where both are held
	rooms   map[media.Name]*room
	stopped bool
	timers  timers.Group // closing of rooms, and what clients are told later
}

// New returns a registry without objects.
func New(config Config, objects *shared.Objects) *Registry {
	config.Rate = cmp.Or(config.Rate, defaultRate)
	config.Counts = cmp.Or(config.Counts, &reason.Counts{})
	return &Registry{config: config, objects: objects, rooms: map[media.Name]*room{}}
}

// Stop ends all rooms. Temporary objects that nobody uses then are deleted by other nodes.
func (r *Registry) Stop() {
	r.mu.Lock()
	r.stopped = true
	var stopping sync.WaitGroup
	for name, room := range r.rooms {
		delete(r.rooms, name)
		stopping.Go(room.object.Stop)
	}
	r.mu.Unlock()
	stopping.Wait()
	r.timers.Close()
}

// Objects are those of the cluster.
func (r *Registry) Objects() *shared.Objects { return r.objects }

// Closed counts a client that was closed for a reason.
func (r *Registry) Closed(err error) { r.config.Counts.AddError(reason.Closed, err) }

// Outlet makes the outlet of a connection.
func (r *Registry) Outlet(c net.Conn) (Outlet, error) { return r.config.Outlet(c) }

// Used returns how many objects are in use on this node.
func (r *Registry) Used() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.rooms)
}

// Allows says whether a client may do something.
func (r *Registry) Allows(q Request) bool { return r.config.Allow == nil || r.config.Allow(q) }

// MayCreate says whether a client may use an object though it is not known, or it is known.
func (r *Registry) MayCreate(client string, name media.Name, wants shared.Persistence) bool {
	if r.Allows(
		Request{
			Action:     Create,
			Client:     client,
			Object:     name,
			Persistent: wants == shared.Persistent,
		},
	) {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), existsTimeout)
	defer cancel()
	_, err := r.objects.Read(ctx, name)
	return err == nil
}

const existsTimeout = 2 * time.Second

// enter returns the room of an object, with one more member, or nil when the node stops.
func (r *Registry) enter(name media.Name, wants shared.Persistence) *room {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return nil
	}
	rm := r.rooms[name]
	if rm == nil {
		rm = &room{registry: r, name: name}
		r.rooms[name] = rm
		rm.object = r.objects.Follow(name, wants, rm)
	}
	rm.users++
	if rm.idle != nil {
		rm.idle.Stop()
		rm.idle = nil
	}
	return rm
}

// exit takes a member out of its room, once. The room goes when it stays empty.
func (r *Registry) exit(m *member) {
	if m.exited.Swap(true) {
		return
	}
	rm := m.room
	r.mu.Lock()
	defer r.mu.Unlock()
	rm.users--
	if rm.users == 0 && r.rooms[rm.name] == rm {
		rm.idle = r.timers.After(shared.Linger, func() { r.close(rm) })
	}
}

func (r *Registry) close(rm *room) {
	r.mu.Lock()
	idle := rm.users == 0 && r.rooms[rm.name] == rm
	if idle {
		delete(r.rooms, rm.name)
	}
	r.mu.Unlock()
	if idle {
		rm.object.Close()
	}
}

// forget drops a room that could not be opened. Those who come later try anew.
func (r *Registry) forget(rm *room) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rooms[rm.name] == rm {
		delete(r.rooms, rm.name)
	}
}
