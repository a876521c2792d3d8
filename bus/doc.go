// Package bus carries live media over NATS: consecutive FLV tags, cut into
// chunks, published on one subject per stream, captured by JetStream, followed
// by core subscriptions and repaired from the store.
package bus
