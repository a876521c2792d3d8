package term

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestPrintable(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"":                 "",
		"live/x y":         "live/x y",
		`a"b\c`:            `a"b\c`,
		"żółw/日本":          "żółw/日本",
		"\x1b[2J":          `\x1b[2J`,
		"a\nb\tc":          `a\nb\tc`,
		"\u009b2J":         `\u009b2J`,
		"\x9b2J":           `\x9b2J`,
		"ab\u202egpj":      `ab\u202egpj`,
		"\x7f\x00":         `\x7f\x00`,
		"zero\u200bwidth":  `zero\u200bwidth`,
		"a \"quote\" \x07": `a \"quote\" \a`,
	} {
		if got := Printable(s); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"live/x", "\x1b[2J", "\u009b", "\xff", "żółw"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Printable(s)
		if !utf8.ValidString(got) ||
			strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
			t.Errorf("%q: %q", s, got)
		}
		if Printable(got) != got {
			t.Errorf("%q: %q is escaped again", s, got)
		}
	})
}

func TestAge(t *testing.T) {
	t.Parallel()
	const fraction = 300 * time.Millisecond
	for d, want := range map[time.Duration]string{
		fraction:                   "0s",
		-time.Hour:                 "0s",
		192*time.Second + fraction: "3m12s",
		75 * time.Hour:             "3d3h",
	} {
		if got := Age(time.Now().Add(-d)); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
	if got := Age(time.Time{}); got != "" {
		t.Errorf("unknown: %q", got)
	}
}

func TestBar(t *testing.T) {
	t.Parallel()
	for done, want := range map[float64]string{
		-1: "[    ]   0%", 0: "[    ]   0%", 0.3: "[=   ]  30%",
		0.99: "[=== ]  99%", 1: "[====] 100%", 2: "[====] 100%",
	} {
		if got := Bar(done, 4); got != want {
			t.Errorf("%v: %q, want %q", done, got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 kB", 1500: "2 kB", 2_340_000: "2.3 MB", 7_000_000_000: "7.00 GB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

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
