package sharedobject

import (
	"errors"

	"natscast/internal/amf"
)

// The flags of a [Message] that have a meaning. Peers set others too, and more than
// one: test for a flag, and send back what came.
const (
	Persistent uint32 = 0x02 // it outlives its last subscriber
	// Proxied asks for ChangeEcho in place of Success.
	Proxied uint32 = 0x10
)

// Limits of a message, read or written.
const (
	maxBody   = 512 << 10 // bytes of a message; who takes one from the network may take less
	maxName   = 256       // bytes of the name
	maxKey    = 256       // bytes of a key, a method or a status
	maxEvents = 256       // events with one pair each
)

var (
	// ErrMalformed is wrapped by errors about a body that is not that of a shared
	// object message, and about an event that has no form on the wire.
	ErrMalformed = errors.New("malformed shared object message")
	// ErrLimit is wrapped by errors about a message that exceeds a limit, also one
	// of package amf.
	ErrLimit = errors.New("shared object message limit exceeded")
)

// Message is what happens to one shared object, in order.
type Message struct {
	Name    string // UTF-8
	Version uint32 // 0 in a first Use
	Flags   uint32
	Events  []Event
	AMF3    bool // sent as type 16
}

// Event is one thing that happens. Type says which of the other fields count.
type Event struct {
	Type EventType
	// Key is the name of the property; of a SendMessage the method, of a Status
	// the code, such as SharedObject.NoWriteAccess.
	Key   string
	Value amf.Value   // of RequestChange, Change and ChangeEcho
	Args  []amf.Value // of SendMessage
	Level string      // of Status, such as "error"
}

// EventType is the type of an event.
type EventType uint8

// Event types: those that clients send (C), those that servers send (S).
const (
	Use           EventType = 1  // C: subscribe
	Release       EventType = 2  // C: unsubscribe
	RequestChange EventType = 3  // C: set a property
	Change        EventType = 4  // S: a property has been set
	Success       EventType = 5  // S, to the sender: the change is made
	SendMessage   EventType = 6  // C, S: call a method of all subscribers
	Status        EventType = 7  // S: a refusal
	Clear         EventType = 8  // S: all properties are gone
	Remove        EventType = 9  // S: a property is gone
	RequestRemove EventType = 10 // C: remove a property
	UseSuccess    EventType = 11 // S: subscribed
	ChangeEcho    EventType = 13 // S, to the sender: the change is made, for Proxied
	RequestClear  EventType = 14 // C: remove all properties
)
