// Package arrows holds the test of which package may import which:
//
//	cmd ─> edge, origin, bus, kv, internal      integration ─> anything
//	edge, origin ─> bus, kv, internal           never each other: they meet on the bus
//	bus, kv ─> internal/media, nats.go          nobody else speaks NATS
//	internal ─> internal
//
// The forbidden arrows stand in a table, each with the reason. Direct imports are
// looked at, in every file of the module whatever its build constraints; what is
// forbidden through a third package is forbidden there.
package arrows
