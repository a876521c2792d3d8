//go:build unix && !linux

package edge

import "context"

// lounge is for clients that say nothing. Here, each keeps its goroutine.
type lounge struct{}

func newLounge() (*lounge, error)             { return nil, nil }
func (l *lounge) run(context.Context) error   { return nil }
func (l *lounge) enter(uintptr, *outbox) bool { return false }
func (l *lounge) leave(uintptr) *outbox       { return nil }
