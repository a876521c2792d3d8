package console

import (
	"bytes"
	"context"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestBitrate(t *testing.T) {
	t.Parallel()
	for bits, want := range map[float64]string{
		0:             "0 kbit/s",
		1_400:         "1 kbit/s",
		999_000:       "999 kbit/s",
		1_000_000:     "1.0 Mbit/s",
		2_560_000:     "2.6 Mbit/s",
		1_234_000_000: "1.23 Gbit/s",
	} {
		if got := Bitrate(bits); got != want {
			t.Errorf("%v: got %q, want %q", bits, got, want)
		}
	}
}

// TestPlainStatus checks that what is not a terminal gets a line now and then, and
// no control characters.
func TestPlainStatus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*plainInterval+time.Second)
		defer cancel()
		var out bytes.Buffer
		n := 0
		Status(ctx, &out, func() string {
			n++
			return string(rune('a' - 1 + n))
		})
		if got := out.String(); got != "a\nb\nc\n" {
			t.Errorf("got %q", got)
		}
	})
}

func TestIsTerminal(t *testing.T) {
	t.Parallel()
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if isTerminal(file) || isTerminal(new(bytes.Buffer)) {
		t.Error("a file or a buffer is taken for a terminal")
	}
}
