package main

import (
	"slices"
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
		if got := printable(s); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"live/x", "\x1b[2J", "\u009b", "\xff", "żółw"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := printable(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
			t.Errorf("%q: %q", s, got)
		}
		if printable(got) != got {
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
		if got := age(time.Now().Add(-d)); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
	if got := age(time.Time{}); got != "" {
		t.Errorf("unknown: %q", got)
	}
}

func TestTableLines(t *testing.T) {
	t.Parallel()
	columns := []column[[2]string]{
		{title: "NAME", cell: func(e [2]string) string { return e[0] }},
		{title: "N", right: true, cell: func(e [2]string) string { return e[1] }},
	}
	got := tableLines(columns, [][2]string{{"żółw", "1"}, {"", "1000"}, {"a\nb-long", ""}})
	want := []string{
		"NAME          N",
		"żółw          1",
		"-          1000",
		`a\nb-long     -`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
