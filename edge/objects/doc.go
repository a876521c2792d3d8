// Package objects lets the clients of a node use the cluster's shared objects, each in its
// [Dialect]. That of RTMP's SharedObject (Adobe RTMP 1.0, 7.1.3) is here; JSON over WebSocket and
// HTTP is the room beside it, edge/objects/webobjects. One change's way:
//
//	a client ─> Client, which paces it ─> shared.Object.Submit ─> JetStream
//	                                                             │ tail
//	each client of the room <── encoded once per dialect <── room <── shared.Object
//
// A [Registry] has a room for each object that clients of this node use, and some seconds longer:
// it is the object's audience (see [shared.Audience]). The writer hears of its own change on the
// same way as all others, so all hear all in one order. A [Client] is one connection.
//
// Decisions:
//
//   - An object's name is app/[instance/]name, whichever part of it the client has connected to:
//     room1/ball in app is ball in app/room1. So a URL names an object as it names a stream.
//   - Who uses an object gets Clear and all attributes, always: that is right for whatever the
//     client has kept.
//   - A request for an object that the client does not use is refused.
//   - A client whose socket is full is told nothing more but the answers to its own requests; when
//     it takes bytes again it gets the object anew. So nobody waits, and nothing piles up.
//   - A client that writes faster than its rate is slowed down: of what waits, the last value of
//     each attribute is written. One that keeps flooding is told so, and closed.
//   - A refused write is answered with a Status and the value that the attribute has, which takes
//     back what the client has shown already.
//   - A method call (SendMessage) waits for the changes that came before it, so its receivers know
//     those. Calls of clients of different nodes have no common order: nobody stores them.
package objects
