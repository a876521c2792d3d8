// Package sim shows what placement policies do to a cluster: a simulation of discrete events, with
// the real code of internal/placement and four policies to compare it with.
//
//	Poisson arrivals, departures ─┐             ┌─> view (a policy) <─┐ 1 to 5 s old, each view
//	calendar: reports, retries ───┴─> world ────┤                     │ with its own delays
//	                                    │       └─> edge ── report ───┘
//	                                    └─ each second ─> Sample ─> Result ─> Table, Markdown, SVG
//
// The world: streams of 1, 2 and 4 Mbit/s, Zipf popularity; edges of one, two and four times a
// capacity, 60 % of which is used; sessions of three minutes on average. A viewer asks any edge,
// each being a router, and goes where it says. An edge at its capacity, or dead, sends the viewer
// on: it asks another router a second later, and gives up after five attempts.
//
// The policies:
//
//	url-hash      the hash of the stream's name, modulo the edges
//	bounded-hash  consistent hashing with bounded loads (1.1 times the mean), points by capacity
//	least-load    least connections, by utilisation
//	two-choices   the less utilised one of two random edges
//	hotness       internal/placement
//
// Decisions:
//
//   - Equal seeds give equal results: one generator, and nothing depends on the order of a map.
//   - Sessions are exponential, so whoever leaves next is any viewer: no timer for each of them.
//   - 1000 routers that each had the reports of 1000 edges for themselves would take most of the
//     time. So four views are shared, each with its own delays; what a router knows of its own
//     doing it has for itself, as it has in a cluster. All policies but url-hash correct their
//     reports by it.
//   - The first viewers are placed by the policy from exact reports, and three sessions pass
//     before anything is measured: what is shown is what a policy does in the long run.
//   - Copies are compared with a lower bound: for each stream, as many of the largest edges as can
//     hold it when they are loaded 1.10 times the mean and have nothing else. No placement reaches
//     that for hot streams: those edges carry others too.
package sim
