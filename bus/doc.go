// Package bus carries live media over NATS. It is the only package, with kv, that
// knows NATS.
//
//	Publisher ──live.<shard>.<name>.key|delta──┬── core ──────▶ Subscription ─▶ deliver
//	  ▲ │                                      │                  ▲
//	  │ └─refill.<shard>...──▶ JetStream ◀─────┘                  │ direct get
//	  └──── acknowledgements ──┘  LIVE_<shard> ───────────────────┘
//
// A chunk is one message: FLV tags, with position, time and codec headers told in
// NATS headers, or several messages where it is larger than the server takes. The
// subject of a chunk that begins a GOP ends in .key, so that the store finds the
// last one by its subject.
//
// The files: bus.go, shards.go (provisioning, the choice of a shard), retention.go (how long a
// stream is kept), chunk.go and message.go (the format), publisher.go, window.go and acks.go (the
// way in), subscription.go, order.go, idle.go, backfill.go and resend.go (the way out), follow.go
// (a live stream for a caller), latest.go (where a stream stopped), history.go and gop.go (its
// past).
//
// They are one room because they share the format: a chunk's position, shard and store sequence are
// what a publisher numbers, a reader puts in order, and the past is cut by.
//
// The rooms beside it: bus/static has the streams of files, bus/direct asks JetStream for stored
// messages, bus/peers answers other nodes. The connections are the caller's: internal/natsconn.
//
// A static stream is an asset that origins offer. Whoever wants a segment of it looks into
// the store, and has an origin put it there when it is missing; the subject holds the identity
// of the content, so versions do not mix:
//
//	Static.Segment ─direct get─▶ STATIC ◀──static.<asset>.<n>.<part>── Offer ── the file
//	     └────────asset.read.<asset>, one of the queue group──────────▶┘
//
// Decisions:
//
//   - The tail is a core subscription: it does without the store, and it is not
//     interrupted by a change of the store's leader.
//   - Nobody waits for an acknowledgement. Each message asks for one at an inbox
//     of the bus, which one subscription reads. A message without one after a
//     second is sent to the refill subject, where JetStream stores it under its
//     live subject, once, and the tail does not see it again. A loop over all
//     publishers does that ten times a second: no timer for each message.
//   - What is not known to be stored, its publisher sends again to a reader that misses it,
//     as the store would: while a leader is elected, nobody else has it.
//   - Each chunk carries a sequence of the store that is below its own: the
//     newest one acknowledged when it was sent. So a reader knows from where to
//     read what is missing behind a chunk, without asking for it.
//   - The order is that of positions. A reader holds the tail back while one
//     request repairs a gap or fetches the begin; a newer epoch does not wait. What the
//     tail loses last, no later chunk shows: a reader whose tail is idle looks into the store.
//   - Static streams are found by asking origins, not in a directory: an answer is
//     true, one that does not come costs a round trip, and who has died is not asked.
//     The store is a cache below a number of bytes, in memory unless live media is on
//     file; a segment that was dropped in part is stored anew.
//   - The past is read by GOPs, from key chunk to key chunk, at marks: places in
//     the store, which need no directory. The last key before a time is found by
//     up_to_time. A GOP is read by single requests, several at once: a batch has
//     the server count all that match, which on file means to read half the shard.
package bus
