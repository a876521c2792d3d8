package term

import (
	"bytes"
	"strings"
	"testing"
)

func TestScreen(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := Screen{W: &out}
	tests := []struct {
		lines  string
		height int
		want   string
	}{
		{"A,1,2", 10, "\x1b[2J\x1b[H\x1b[?7lA\x1b[K\n1\x1b[K\n2\x1b[K\n\x1b[J\x1b[?7h"},
		{"A,1", 3, "\x1b[H\x1b[?7lA\x1b[K\n1\x1b[K\n\x1b[J\x1b[?7h"},
		{"A,1,2,3", 4, "\x1b[H\x1b[?7lA\x1b[K\n1\x1b[K\n... and 2 more\x1b[K\n\x1b[J\x1b[?7h"},
		{"A,1,2,3", 0, "\x1b[H\x1b[?7lA\x1b[K\n1\x1b[K\n2\x1b[K\n3\x1b[K\n\x1b[J\x1b[?7h"},
	}
	for _, test := range tests {
		out.Reset()
		if err := s.Draw(strings.Split(test.lines, ","), test.height); err != nil ||
			out.String() != test.want {
			t.Errorf("%s on %d lines: %q, %v", test.lines, test.height, out.String(), err)
		}
	}
}
