package objects

import "natscast/kv/objects/replica"

// What users of objects meet is that of a replica.
type (
	// State is an object as it is on this node.
	State = replica.State
	// Audience is told what happens to an object.
	Audience = replica.Audience
	// Write is what one message of a client changes.
	Write = replica.Write
	// Edit is what should become of one attribute.
	Edit = replica.Edit
	// Author is who asked for a write.
	Author = replica.Author
	// Void is set when a client has lost its right to what it asked for.
	Void = replica.Void
	// Update is a change of an object.
	Update = replica.Update
	// Attribute is an attribute as it is stored.
	Attribute = replica.Attribute
	// AttributeChange is an attribute as it became.
	AttributeChange = replica.AttributeChange
	// Call is a method call to all users of an object.
	Call = replica.Call
)

// The limits of shared objects.
const (
	MaxKey    = replica.MaxKey
	MaxKeys   = replica.MaxKeys
	MaxValue  = replica.MaxValue
	MaxObject = replica.MaxObject
)
