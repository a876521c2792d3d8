// Package objects keeps the cluster's shared objects in the bucket "objects": a key
// OBJECT.ATTRIBUTE for each attribute, whose value is JSON, and =object.OBJECT for each object
// itself.
//
// An object in use is an [Object], a replica that follows its own keys alone:
//
//	Submit ── queue ── one batch at a time ── JetStream ── state.objects.OBJECT.* ── the state ── Audience
//
// Decisions:
//
//   - An object's tail has gaps in the bucket's sequence, where other objects change. What is
//     missing shows all the same: by the attribute's own last sequence, by the version that each
//     write carries, and by a question when the object has become quiet. A leader that is elected
//     does not repeat what the one before it stored last, and a connection that comes back has
//     missed something: both take so long that all tails are silent, so after an idle gap, a gap
//     counts as something missing. It is asked for from where all was known, while what comes is
//     held; after longer than the marks of removed attributes live, the object is read anew. After
//     an idle gap that is so for all objects at once: beyond the first few, they learn from one
//     page of the bucket which of them were changed meanwhile. The store has the newest value of
//     each attribute alone: what others have overwritten meanwhile is not told, except to its
//     writer, who still has it.
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
//     meanwhile; what dead nodes have left, their heirs delete.
package objects
