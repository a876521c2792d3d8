package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// column is one of a table: what it is called, and what it says of an entry. An empty cell
// is written as "-", so that every line has all fields.
type column[T any] struct {
	title string
	right bool // numbers
	cell  func(T) string
}

// table writes lines whose columns stand below each other. Columns only grow, so lines can be
// written while others are yet to come.
type table[T any] struct {
	columns []column[T]
	widths  []int
}

func newTable[T any](columns []column[T]) *table[T] {
	return &table[T]{columns: columns, widths: make([]int, len(columns))}
}

// titles are the cells of the first line.
func (t *table[T]) titles() []string {
	cells := make([]string, len(t.columns))
	for i, c := range t.columns {
		cells[i] = c.title
	}
	return cells
}

// cells are those of an entry. What clients chose cannot do anything to a terminal.
func (t *table[T]) cells(entry T) []string {
	cells := make([]string, len(t.columns))
	for i, c := range t.columns {
		cells[i] = printable(c.cell(entry))
		if cells[i] == "" {
			cells[i] = "-"
		}
	}
	return cells
}

// line aligns cells, below those of the lines before.
func (t *table[T]) line(cells []string) string {
	t.fit(cells)
	var b strings.Builder
	for i, cell := range cells {
		if i > 0 {
			b.WriteString("  ")
		}
		padding := strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(cell))
		if t.columns[i].right {
			b.WriteString(padding + cell)
		} else {
			b.WriteString(cell + padding)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// fit makes room for the cells of a line.
func (t *table[T]) fit(cells []string) {
	for i, cell := range cells {
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cell))
	}
}

// tableLines are the lines of a whole table: the titles, and one for each entry.
func tableLines[T any](columns []column[T], entries []T) []string {
	t := newTable(columns)
	rows := [][]string{t.titles()}
	for _, e := range entries {
		rows = append(rows, t.cells(e))
	}
	for _, cells := range rows {
		t.fit(cells)
	}
	lines := make([]string, len(rows))
	for i, cells := range rows {
		lines[i] = t.line(cells)
	}
	return lines
}

func writeTable[T any](w io.Writer, columns []column[T], entries []T) error {
	_, err := fmt.Fprintln(w, strings.Join(tableLines(columns, entries), "\n"))
	return err
}

// printable escapes what is not a letter, a sign or a space.
func printable(s string) string {
	for _, r := range s {
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			quoted := strconv.Quote(s)
			return quoted[1 : len(quoted)-1]
		}
	}
	return s
}

// age is how long ago something was by another node's clock, which may be ahead of ours. It is
// empty when that is not known.
func age(since time.Time) string {
	if since.IsZero() {
		return ""
	}
	d := max(time.Since(since), 0).Truncate(time.Second)
	if days := d / (24 * time.Hour); days > 0 {
		return fmt.Sprintf("%dd%dh", days, d%(24*time.Hour)/time.Hour)
	}
	return d.String()
}

// percent is a part of a whole. It is empty when there is no whole.
func percent(part, whole float64) string {
	if whole <= 0 {
		return ""
	}
	return fmt.Sprintf("%.1f %%", 100*part/whole)
}

// perSecond is a rate of events.
func perSecond(rate float64) string { return fmt.Sprintf("%.1f", rate) }

func count(n int) string { return strconv.Itoa(n) }

// yes says so, or nothing.
func yes(is bool) string {
	if is {
		return "yes"
	}
	return ""
}
