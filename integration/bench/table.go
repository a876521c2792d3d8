//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// table is printed as text or as Markdown.
type table struct {
	lines [][]string // the heads first
}

func newTable(heads ...string) *table { return &table{[][]string{heads}} }

func (t *table) add(cells ...string) { t.lines = append(t.lines, cells) }

func (t *table) write(out io.Writer, markdown bool, notes []string) error {
	if markdown {
		return t.writeMarkdown(out, notes)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, line := range t.lines {
		fmt.Fprintln(w, strings.Join(line, "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%s\n", strings.Join(notes, "\n"))
	return err
}

func (t *table) writeMarkdown(out io.Writer, notes []string) error {
	var b strings.Builder
	for i, line := range t.lines {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(line, " | "))
		if i == 0 {
			b.WriteString("|---|" + strings.Repeat("---:|", len(line)-1) + "\n")
		}
	}
	b.WriteString("\n")
	for _, n := range notes {
		fmt.Fprintf(&b, "- %s\n", n)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// ms is a quantile in milliseconds.
func ms(d []time.Duration, q float64) string {
	return fmt.Sprintf("%.1f", quantile(d, q).Seconds()*1000)
}

func ratio(cost, unit float64) string {
	if unit == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", cost/unit)
}

func delivered(w window) string {
	if w.complete {
		return "all"
	}
	return fmt.Sprintf("%.3f %%", w.share*100)
}
