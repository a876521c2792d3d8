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
// [Store.Join] makes a node a member: a [Cluster] writes what the node has to tell, in the
// background, and follows what the others tell in a [View].
//
// State goes out by compare-and-swap: an entry is changed only by the one who has
// read its latest revision. A stream's entry is also the lease of its publisher:
//
//	Acquire ── create the key, with a TTL; the revision is the epoch
//	Run     ── write it again every third of the TTL, at the revision we know
//	Release ── delete it at the revision we know
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
//   - A view follows the subject on which JetStream repeats what it has stored (RePublish), not a
//     KV watch, which stays silent for up to 18 s when the server dies that hosts it. The sequence
//     of the bucket shows what is missing; then, after a reconnect, and where a question now and
//     then finds something newer, the bucket is read again and the difference told.
//   - The store's TTL says which node is dead, no clock here. While NATS is away nobody
//     dies, and what was known stays.
//   - Entries of connections, hotness and assets have no TTL: nothing is written while nothing
//     changes. Their key names the node's incarnation, so whoever is not in the membership is dead,
//     and what it has left counts for nothing from then on. It is purged by the first of three
//     nodes in an order that all see alike, or by the next node that joins when nobody was there. A
//     node that the cluster has lost joins as another incarnation and writes all anew, so a purge
//     that comes late hits nothing that lives.
package kv
