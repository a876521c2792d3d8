package recording

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestParseSplit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		d     time.Duration
		bytes int64
		ok    bool
	}{
		"":           {0, 0, true},
		"1h":         {time.Hour, 0, true},
		"2GiB":       {0, 2 << 30, true},
		"90s 500MB":  {90 * time.Second, 500e6, true},
		"5000":       {0, 5000, true},
		"1h 2h":      {},
		"1B 2B":      {},
		"0":          {},
		"-1h":        {},
		"10ms":       {},
		"2XB":        {},
		"1000000TiB": {0, 1000000 << 40, true},
		"9e18":       {},
		"9000000TiB": {},
	} {
		d, bytes, err := ParseSplit(strings.Fields(text))
		if d != want.d || bytes != want.bytes || (err == nil) != want.ok || err != nil && !errors.Is(err, ErrSplit) {
			t.Errorf("%q: %v, %d, %v", text, d, bytes, err)
		}
	}
}
