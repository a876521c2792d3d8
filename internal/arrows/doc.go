// Package arrows holds the test of which package may import which:
//
//	cmd/natscast ─> internal/cli, internal/node        integration ─> anything
//	internal/cli ─> internal/node, edge, origin, bus, kv, internal
//	internal/node ─> edge, origin, bus, kv, internal
//	edge, origin ─> bus, kv, internal                  never each other: they meet on the bus
//	bus, kv ─> internal, nats.go                       never each other
//	internal ─> internal                               but cli and node, see above
//
// Inside internal/cli, commands do not know each other. They stand on connect, which joins
// them to the cluster, and on cmdline and term, which know no cluster.
//
// The forbidden arrows are in a table, each with its reason. The test looks at the direct
// imports of every file of the module, whatever its build constraints. An import through a
// third package is a matter of the rule for that package.
package arrows
