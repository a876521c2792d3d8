//go:build unix && !linux

package conn

import "context"

// ParkingLot is for clients that say nothing. Here, each keeps its goroutine.
type ParkingLot struct{}

// NewParkingLot returns nil: nobody can park.
func NewParkingLot() (*ParkingLot, error) { return nil, nil }

// Run does nothing.
func (l *ParkingLot) Run(context.Context) error { return nil }

// Parked is 0.
func (l *ParkingLot) Parked() int { return 0 }

func (l *ParkingLot) add(uintptr, *Outbox) bool { return false }
func (l *ParkingLot) remove(uintptr) *Outbox    { return nil }
