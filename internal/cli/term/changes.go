package term

import (
	"maps"
	"reflect"
	"slices"
)

// The events of [Changes].
const (
	EventPut  = "put"
	EventGone = "gone"
)

// Changes tells how rows differ from those shown before.
type Changes[T any] struct {
	// ID is what stays the same while a row changes.
	ID func(T) string
	// Tell is called with each event. Its error ends [Changes.Show].
	Tell func(event string, row T) error

	shown map[string]T
}

// Show tells which rows have gone since the last call, then which ones are new or have
// changed, in their order.
func (c *Changes[T]) Show(rows []T) error {
	now := make(map[string]T, len(rows))
	for _, r := range rows {
		now[c.ID(r)] = r
	}
	for _, id := range slices.Sorted(maps.Keys(c.shown)) {
		if _, ok := now[id]; ok {
			continue
		}
		if err := c.Tell(EventGone, c.shown[id]); err != nil {
			return err
		}
	}
	for _, r := range rows {
		if old, ok := c.shown[c.ID(r)]; ok && reflect.DeepEqual(old, r) {
			continue
		}
		if err := c.Tell(EventPut, r); err != nil {
			return err
		}
	}
	c.shown = now
	return nil
}
