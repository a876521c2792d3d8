package term

import (
	"slices"
	"testing"
)

func TestTableLines(t *testing.T) {
	t.Parallel()
	columns := []Column[[2]string]{
		{Title: "NAME", Cell: func(e [2]string) string { return e[0] }},
		{Title: "N", Right: true, Cell: func(e [2]string) string { return e[1] }},
	}
	got := TableLines(columns, [][2]string{{"żółw", "1"}, {"", "1000"}, {"a\nb-long", ""}})
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
