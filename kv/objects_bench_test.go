package kv

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"natscast/internal/media"
	"natscast/kv/objects"
)

// counter is an audience that counts what it is told of.
type counter struct {
	opened sync.WaitGroup
	told   sync.WaitGroup
}

func (c *counter) Opened(*objects.State, error)                  { c.opened.Done() }
func (c *counter) Changed(*objects.State, objects.Update)        { c.told.Done() }
func (c *counter) Sent(*objects.State, objects.Call)             {}
func (c *counter) Settled(*objects.State, *objects.Write, error) { c.told.Done() }

// A change of one of many objects, told to two replicas.
func BenchmarkObjectChange(b *testing.B) {
	const many = 1000
	nats := startServer(b)
	var counter counter
	var writers []*objects.Object
	for replica := range 2 {
		s, err := Open(b.Context(), connectTo(b, nats), Options{Storage: "memory"})
		if err != nil {
			b.Fatal(err)
		}
		o := s.Objects
		for i := range many {
			counter.opened.Add(1)
			obj := o.Follow(media.Name(fmt.Sprintf("live/o%d", i)), objects.Temporary, &counter)
			b.Cleanup(obj.Stop)
			if replica == 0 {
				writers = append(writers, obj)
			}
		}
	}
	counter.opened.Wait()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		counter.told.Add(2)
		writers[i%many].Submit(
			&objects.Write{
				Edits: []objects.Edit{{Key: "x", Value: json.RawMessage(strconv.Itoa(i))}},
			},
		)
		if i%5000 == 4999 {
			counter.told.Wait()
		}
	}
	counter.told.Wait()
}
