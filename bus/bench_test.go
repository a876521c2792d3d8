package bus

import (
	"testing"

	"github.com/nats-io/nats.go"
)

// One chunk of 16 KB, sent, stored and acknowledged.
func BenchmarkPublish(b *testing.B) {
	_, bus := newShards(b)
	p := newPublisher(b, bus, stream, 7)
	c := Chunk{Payload: make([]byte, 16<<10)}
	b.SetBytes(int64(len(c.Payload)))
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Publish(c); err != nil {
			b.Fatal(err)
		}
	}
}

// One chunk of 16 KB, sent and delivered; the next one follows then.
func BenchmarkDeliver(b *testing.B) {
	_, bus := newShards(b)
	p := newPublisher(b, bus, stream, 7)
	s, err := bus.Subscribe(stream)
	if err != nil {
		b.Fatal(err)
	}
	delivered := make(chan struct{}, 1)
	done := make(chan error, 1)
	go func() {
		done <- s.Run(b.Context(), Place{}, func(Chunk) { delivered <- struct{}{} })
	}()
	b.Cleanup(func() {
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	c := Chunk{Key: true, Payload: make([]byte, 16<<10)}
	b.SetBytes(int64(len(c.Payload)))
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Publish(c); err != nil {
			b.Fatal(err)
		}
		<-delivered
	}
}

// The tail path without NATS: decode, order, deliver.
func BenchmarkTake(b *testing.B) {
	h := nats.Header{headerDTS: {"40"}, headerStored: {"7"}}
	payload := make([]byte, 16<<10)
	s := &Subscription{}
	n := 0
	o := &order{s: s, deliver: func(Chunk) { n++ }}
	var parts assembler
	b.ReportAllocs()
	seq := uint64(0)
	for b.Loop() {
		seq++
		put(h, headerID, Position{7, seq}.String())
		p, err := decode("live.0.live.a.key", h, payload)
		if err != nil {
			b.Fatal(err)
		}
		c, _, _ := parts.add(p)
		o.take(c)
	}
	if n != int(seq) {
		b.Fatalf("%d delivered of %d", n, seq)
	}
}
