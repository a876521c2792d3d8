package term

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestPlainStatus checks that what is not a terminal gets a line now and then, and
// no control characters.
func TestPlainStatus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*plainInterval+time.Second)
		defer cancel()
		var out bytes.Buffer
		n := 0
		status(ctx, &out, func() string {
			n++
			return string(rune('a' - 1 + n))
		})
		if got := out.String(); got != "a\nb\nc\n" {
			t.Errorf("got %q", got)
		}
	})
}
