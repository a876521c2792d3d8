package term

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Column is a column of a table. An empty cell is written as "-", so every line has the
// same number of fields.
type Column[T any] struct {
	Title string
	Right bool // aligned to the right, as numbers are
	Cell  func(T) string
}

// Print writes the rows, as a JSON array or as a table.
func Print[T any](w io.Writer, asJSON bool, columns []Column[T], rows []T) error {
	if asJSON {
		return json.NewEncoder(w).Encode(append([]T{}, rows...)) // no rows are [], not null
	}
	_, err := fmt.Fprintln(w, strings.Join(TableLines(columns, rows), "\n"))
	return err
}

// TableLines returns the lines of a whole table: the titles, then one line for each row.
func TableLines[T any](columns []Column[T], rows []T) []string {
	t := NewTable(columns)
	cells := [][]string{t.Titles()}
	for _, r := range rows {
		cells = append(cells, t.Cells(r))
	}
	for _, c := range cells {
		t.Fit(c)
	}
	lines := make([]string, len(cells))
	for i, c := range cells {
		lines[i] = t.Line(c)
	}
	return lines
}

// Table aligns lines that are written one by one. Its columns only grow, so a line can be
// written while later lines are not known yet.
type Table[T any] struct {
	columns []Column[T]
	widths  []int
}

// NewTable returns a table without lines.
func NewTable[T any](columns []Column[T]) *Table[T] {
	return &Table[T]{columns: columns, widths: make([]int, len(columns))}
}

// Titles are the cells of the first line.
func (t *Table[T]) Titles() []string {
	cells := make([]string, len(t.columns))
	for i, c := range t.columns {
		cells[i] = c.Title
	}
	return cells
}

// Cells are the cells of a row, safe to write to a terminal.
func (t *Table[T]) Cells(row T) []string {
	cells := make([]string, len(t.columns))
	for i, c := range t.columns {
		cells[i] = Printable(c.Cell(row))
		if cells[i] == "" {
			cells[i] = "-"
		}
	}
	return cells
}

// Line aligns cells with those of the lines before.
func (t *Table[T]) Line(cells []string) string {
	t.Fit(cells)
	var b strings.Builder
	for i, cell := range cells {
		if i > 0 {
			b.WriteString("  ")
		}
		padding := strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(cell))
		if t.columns[i].Right {
			b.WriteString(padding + cell)
		} else {
			b.WriteString(cell + padding)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// Fit makes the columns wide enough for a line that comes later.
func (t *Table[T]) Fit(cells []string) {
	for i, cell := range cells {
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cell))
	}
}
