// Package kv keeps the cluster's shared state in JetStream key-value buckets,
// one file per bucket. Values are readable JSON, for any NATS client to read.
//
//	Store ── Streams      bucket "streams":     who publishes what, and where its chunks are
//	      ── Recordings   bucket "recordings":  who records what: a lease as that of a publisher
//	      ── Nodes        bucket "nodes":       who lives; an entry with a TTL, written again at each heartbeat
//	      ── Connections  bucket "connections": the clients of all nodes, below NODE.INCARNATION
//	      ── Hotness      bucket "hotness":     how busy nodes and their streams are, below NODE.INCARNATION
//	      ── Assets       bucket "assets":      the static streams of all origins, below NODE.INCARNATION
//	      ── Objects      bucket "objects":     shared objects, a key OBJECT.ATTRIBUTE each, and =object.OBJECT for each itself
//
// [Store.Join] makes a node a member: a [Cluster] writes what the node has to tell, in the background,
// and follows what the others tell in a [View].
//
// State goes out by compare-and-swap: an entry is changed only by the one who has
// read its latest revision. A stream's entry is also the lease of its publisher:
//
//	Acquire ── create the key, with a TTL; the revision is the epoch
//	Run     ── write it again every third of the TTL, at the revision we know
//	Release ── delete it at the revision we know
//
// A shared object in use is an [Object], a replica that follows its own keys alone:
//
//	Submit ── queue ── one flight at a time ── JetStream ── state.objects.OBJECT.* ── the state ── Audience
//
// Decisions:
//
//   - The epoch is the revision that the create got: JetStream orders revisions,
//     so a later publisher has a higher epoch whatever the clocks say, and no two
//     streams share one. The first value cannot hold it; a value without an epoch
//     means the revision it has.
//   - An answer that does not come says nothing about the write. The entry is read
//     again then, from the bucket's leader: when it is still ours, we go on from
//     its revision.
//   - The TTL counts in the server from each write. A holder whose writes are not answered
//     goes on all the same: a store without a leader gives the lease to nobody, and an
//     election takes longer than a TTL should. Where it was wrong, because it alone was cut
//     off, readers drop what it publishes as soon as they see the higher epoch.
//   - An entry that has expired while the store was away is taken anew by its holder, in
//     a new epoch: what another one may have published in between stays below it.
//   - A view follows the subject on which JetStream repeats what it has stored (RePublish),
//     not a KV watch, which stays silent for up to 18 s when the server dies that hosts it. The
//     sequence of the bucket shows what is missing; then, after a reconnect, and where a
//     question now and then finds something newer, the bucket is read again and the difference told.
//   - The store's TTL says which node is dead, no clock here. While NATS is away nobody
//     dies, and what was known stays.
//   - Entries of connections, hotness and assets have no TTL: nothing is written while nothing changes. Their key names the
//     node's incarnation, so whoever is not in the membership is dead, and what it has left counts for
//     nothing from then on. It is purged by the first of three nodes in an order that all see alike, or by the
//     next node that joins when nobody was there. A node that the cluster has lost joins as another incarnation
//     and writes all anew, so a purge that comes late hits nothing that lives.
//   - An object's tail has gaps in the bucket's sequence, where other objects change. What is missing shows all the same: by the attribute's own
//     last sequence, by the version that each write carries, and by a question when the object has become quiet. A leader that is elected does not repeat what
//     the one before it stored last, and a connection that comes back has missed something: both take so long that all tails are silent, so after
//     a silence, a gap counts as something missing. It is asked for from where all was known, while what comes is held; after longer than the marks of
//     removed attributes live, the object is read anew. After a silence that is so for all objects at once: beyond the first few, they learn from one page of the
//     bucket which of them were changed meanwhile. The store has the newest value of each attribute alone: what others have overwritten
//     meanwhile is not told, except to its writer, who still has it.
//   - All that one node writes to an object goes in order, one flight at a time; the next one takes all that waits. A write that is
//     not answered is tried again under the same message id, so it is stored once. It is given up after ten seconds, which
//     outlasts an election, or after one second without a connection, and may be stored all the same.
//   - Attributes that one write changes come to the audience together. JetStream stores them as an atomic batch where that is cheap; on one
//     server that stores in files it makes a store on disk for each batch, and syncs it (7 ms, one after the other), so there they are
//     messages in a row, each with its part of the write, and a compare-and-swap or a deletion alone is a batch.
//   - The version of RTMP's messages is in a header of each change, counted by the writer from what it knows. It is not written with
//     compare-and-swap, which would make writers wait for each other: replicas count on where two have written at once.
//   - Who uses a temporary object is in its own key, as incarnations of nodes, by compare-and-swap. The last living one deletes it by a batch that
//     begins with that key, so nobody enters meanwhile; what dead nodes have left, their heirs delete.
package kv
