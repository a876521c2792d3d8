// Package placement chooses the edge on which a client plays a stream: by what is
// reported of edges and streams, and by what the asking router has placed itself. It does no
// I/O and has no clock; equal input gives equal choices.
//
//	reports ─> Cluster: edges by region, carriers by stream
//	              │
//	Request ─> Router.Choose ─> gather: what will come within the horizon, and the carriers' room for it
//	              │               ├─ enough room ─> pick: a carrier, by its share of the room
//	              │               └─ too little ──> open: another edge, drawn by the stream's hash
//	              └─ Placed ─> own: joins within the horizon, loads since the last reports
//
// Decisions:
//
//   - An edge takes viewers up to a bound: the mean utilisation of its region and some percent,
//     never more than 97 % of its capacity while another has room. The percentage falls with the
//     hotness of the stream. Viewers of a hot stream yield first, for they find other copies;
//     those of a cold one would open a copy each.
//   - Reports are up to five seconds old, and every edge routes by itself. So nobody
//     takes the best edge: all would take the same one. Each client goes to an edge with a
//     probability that is its share of the room, drawn by the hash of the client's key.
//   - A choice must have room for what comes until a report tells of it, less the viewers who leave
//     meanwhile. What comes is what is reported, or what this router has got times the number of
//     routers, where that is more than chance.
//   - A copy opens when the room of the carriers does not suffice for that, and the copies with the
//     fewest viewers get no more of them when the others have twice of it. Between is the
//     hysteresis.
//   - New copies are drawn by weighted rendezvous hashing of the stream, so that routers that do
//     not know of each other open the same ones, as many as the need asks for. Of a stream that is
//     all new each router expects that the others get what it gets, and its next client goes to the
//     next draws.
//   - What this cannot see: a crowd at a stream that has a few viewers already. Nothing tells its
//     first client at a router from the usual one, so each router sends one or two to the carrier.
//     In a cluster of hundreds of edges that fills it, and it has to send clients on until reports
//     tell of them.
//   - A client leaves its region only when no edge there has room.
//
// Every rule's number stands in router.go.
package placement
