package bus

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"natscast/internal/media"
)

// What a player that rewinds waits for: FindTime and ReadGOP of a stream of 4 Mbit/s with GOPs of 2
// s, among 100 others, a minute long.
func BenchmarkHistory(b *testing.B) {
	for _, storage := range []Storage{Memory, File} {
		b.Run(string(storage), func(b *testing.B) {
			bus := newBus(
				b,
				newServer(b),
				Options{
					Storage:   storage,
					MaxBytes:  1 << 30,
					Retention: time.Hour,
				},
			)
			if err := bus.Provision(b.Context()); err != nil {
				b.Fatal(err)
			}
			writeMinute(b, bus)
			from, to, err := bus.Range(b.Context(), stream)
			if err != nil {
				b.Fatal(err)
			}
			var times []time.Duration
			for b.Loop() {
				began := time.Now()
				m, err := bus.FindTime(b.Context(), stream, from.Add(rand.N(to.Sub(from))))
				if err != nil {
					b.Fatal(err)
				}
				g, err := bus.ReadGOP(b.Context(), stream, m)
				if err != nil || g.Lost || len(g.Chunks) != 50 {
					b.Fatalf("%d chunks, %v", len(g.Chunks), err)
				}
				times = append(times, time.Since(began))
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
		})
	}
}

func writeMinute(b *testing.B, bus *Bus) {
	const fps, seconds = 25, 60
	publishers := []*Publisher{newPublisher(b, bus, stream, 1)}
	for i := range 100 {
		publishers = append(
			publishers,
			newPublisher(b, bus, media.Name(fmt.Sprintf("live/other%d", i)), uint64(i+2)),
		)
	}
	payload := make([]byte, 100<<10)
	for i := range fps * seconds {
		for n, p := range publishers {
			c := Chunk{Key: i%(2*fps) == 0, DTS: uint32(i * 1000 / fps), Payload: payload[:4<<10]}
			switch {
			case n == 0 && c.Key:
				c.Payload = payload
			case n == 0:
				c.Payload = payload[:18<<10]
			}
			if err := p.Publish(c); err != nil {
				b.Fatal(err)
			}
		}
		for _, p := range publishers {
			for p.Stats().Unacked > 0 {
				runtime.Gosched()
			}
		}
	}
}
