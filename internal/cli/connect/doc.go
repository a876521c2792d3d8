// Package connect joins a command to NATS and to the cluster whose state is there: the
// flags that say where NATS is, the connection, the buckets, and errors that say what to
// do.
//
// Of internal/cli, this room alone knows the NATS client.
package connect
