// Package objects keeps the cluster's shared objects in the bucket "objects": a key
// OBJECT.ATTRIBUTE for each attribute, whose value is JSON, and =object.OBJECT for each object
// itself.
//
// An object in use is an [Object], which follows its own keys alone. What it knows is a
// [replica.Replica], which has no NATS types; this package reads and writes for it:
//
//	Submit ── queue ── one batch at a time ── JetStream ── state.objects.OBJECT.* ── replica ── Audience
//
// Decisions:
//
//   - An object's tail has gaps in the bucket's sequence, where other objects change. The replica
//     knows when something is missing, and is asked a last time when the object has become quiet. A
//     leader that is elected does not repeat what the one before it stored last, and a connection
//     that comes back has missed something: both take so long that nothing is heard on any tail
//     for a while, an idle gap. What is missing is asked for from where all was known; after
//     longer than the marks of removed attributes live, the object is read anew. After an idle gap
//     that is so for all objects at once: beyond the first few, they learn from one page of the
//     bucket which of them were changed meanwhile.
//   - All that one node writes to an object goes in order, one batch at a time; the next one takes
//     all that waits. A write that is not answered is tried again under the same message id, so it
//     is stored once. It is given up after ten seconds, which outlasts an election, or after one
//     second without a connection, and may be stored all the same.
//   - Attributes that one write changes come to the audience together. JetStream stores them as an
//     atomic batch where that is cheap; on one server that stores in files it makes a store on disk
//     for each batch, and syncs it (7 ms, one after the other), so there they are messages in a
//     row, each with its part of the write, and a compare-and-swap or a deletion alone is a batch.
//   - The version of RTMP's messages is in a header of each change, counted by the writer from what
//     it knows. It is not written with compare-and-swap, which would make writers wait for each
//     other: replicas count on where two have written at once.
//   - Who uses a temporary object is in its own key, as incarnations of nodes, by compare-and-swap.
//     The last living one deletes it by a batch that begins with that key, so nobody enters
//     meanwhile; what dead nodes have left, the nodes after them delete.
package objects
