// Package peers answers what other nodes ask over NATS: a [Responder] hands out the requests, and a
// [Crew] does what takes longer, with a bound.
package peers
