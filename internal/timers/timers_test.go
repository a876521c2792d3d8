package timers

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestGroup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g Group
		calls := make(chan string, 10)
		call := func(name string) func() { return func() { calls <- name } }
		g.After(time.Second, call("first"))
		g.After(2*time.Second, call("stopped")).Stop()
		fired := g.After(3*time.Second, call("second"))
		g.After(time.Hour, call("too late"))
		time.Sleep(4 * time.Second)
		synctest.Wait()
		fired.Stop() // has no effect
		g.Go(call("at once"))
		g.Close()
		g.After(0, call("after the end")).Stop()
		g.Go(call("after the end"))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		close(calls)
		var got []string
		for name := range calls {
			got = append(got, name)
		}
		if want := []string{"first", "second", "at once"}; !slices.Equal(got, want) {
			t.Errorf("called %q, want %q", got, want)
		}
	})
}

// Close waits for what has begun.
func TestCloseWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g Group
		g.After(0, func() { time.Sleep(time.Minute) })
		time.Sleep(time.Second)
		began := time.Now()
		g.Close()
		if waited := time.Since(began); waited != 59*time.Second {
			t.Errorf("waited %v", waited)
		}
	})
}
