package clitest

import (
	"strings"
	"testing"
)

// Fields are those of each line of a table, which two spaces or more divide.
func Fields(table string) [][]string {
	var lines [][]string
	for line := range strings.SplitSeq(strings.TrimSpace(table), "\n") {
		var cells []string
		for cell := range strings.SplitSeq(line, "  ") {
			if cell = strings.TrimSpace(cell); cell != "" {
				cells = append(cells, cell)
			}
		}
		lines = append(lines, cells)
	}
	return lines
}

// CheckTable compares a table with lines of fields, divided by "|"; "*" is any.
func CheckTable(t *testing.T, what, table string, want ...string) {
	t.Helper()
	got := Fields(table)
	if len(got) != len(want) {
		t.Errorf("%s: %d lines, want %d:\n%s", what, len(got), len(want), table)
		return
	}
	for i, line := range want {
		cells := strings.Split(line, "|")
		same := len(cells) == len(got[i])
		for j := 0; same && j < len(cells); j++ {
			same = cells[j] == "*" || cells[j] == got[i][j]
		}
		if !same {
			t.Errorf("%s: line %d is %q, want %q", what, i+1, got[i], cells)
		}
	}
}
