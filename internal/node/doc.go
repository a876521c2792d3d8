// Package node puts a node together: the listeners for RTMP, RTMPS and HTTP, the edge with
// the ingest of an origin behind it, recorder and file library where they are wanted, and
// the node's place in the cluster, all on NATS connections of its own.
//
//	New    listens, connects and joins the cluster
//	Run    serves clients until the context ends or the node has drained
//	Close  frees what New took
//
// NATS is external (Config.Bus.URLs) or embedded (Config.Bus.Server). The package knows
// nothing of flags: internal/cli/serve turns a command line into a [Config].
package node
