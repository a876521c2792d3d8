package sim

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// table is one phase of all results.
type table struct {
	title  string
	header []string
	rows   [][]string
}

func tables(results []Result) []table {
	steady := table{
		"Steady state",
		[]string{
			"policy",
			"max load/mean",
			"p99 load/mean",
			"moved",
			"refused",
			"copies",
			"of least",
		},
		nil,
	}
	crowd := table{
		"Flash crowd: one stream from 0 to 30 % of all viewers in a minute, and two minutes more",
		[]string{
			"policy",
			"max load/mean",
			"p99 load/mean",
			"fullest edge",
			"moved",
			"refused",
			"copies",
			"of least",
			"absorbed after",
		}, nil,
	}
	deaths := table{
		"Deaths: one edge in a hundred, and two minutes more",
		[]string{
			"policy",
			"max load/mean",
			"p99 load/mean",
			"fullest edge",
			"moved",
			"refused",
			"copies",
			"of least",
		}, nil,
	}
	for _, r := range results {
		p := r.Steady
		steady.rows = append(steady.rows, []string{
			r.Policy, ratio(p.Max), ratio(p.P99), fmt.Sprint(p.Moved), fmt.Sprint(p.Refused), fmt.Sprint(p.Copies), ratio(p.Ratio),
		})
		if r.Crowd != nil {
			absorbed := "never"
			if r.Absorbed != nil {
				absorbed = fmt.Sprintf("%.0f s", *r.Absorbed)
			}
			crowd.rows = append(crowd.rows, append(stress(r.Policy, *r.Crowd), absorbed))
		}
		if r.Deaths != nil {
			deaths.rows = append(deaths.rows, stress(r.Policy, *r.Deaths))
		}
	}
	all := []table{steady}
	for _, t := range []table{crowd, deaths} {
		if len(t.rows) > 0 {
			all = append(all, t)
		}
	}
	return all
}

func stress(policy string, p Phase) []string {
	return []string{
		policy, ratio(p.Max), ratio(p.P99), fmt.Sprintf("%.0f %%", 100*p.Highest),
		fmt.Sprint(p.Moved), fmt.Sprint(p.Refused), fmt.Sprint(p.Copies), ratio(p.Ratio),
	}
}

func ratio(x float64) string { return fmt.Sprintf("%.2f", x) }

// WriteText writes the results as aligned tables.
func WriteText(w io.Writer, results []Result) error {
	for i, t := range tables(results) {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s\n\n", t.title)
		tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		for _, row := range append([][]string{t.header}, t.rows...) {
			fmt.Fprintf(tab, "%-13s\t%s\t\n", row[0], strings.Join(row[1:], "\t"))
		}
		if err := tab.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// WriteMarkdown writes the same tables for a page.
func WriteMarkdown(w io.Writer, results []Result) error {
	for i, t := range tables(results) {
		if i > 0 {
			fmt.Fprintln(w)
		}
		rule := "|---|" + strings.Repeat("---:|", len(t.header)-1)
		_, err := fmt.Fprintf(
			w,
			"%s:\n\n| %s |\n%s\n",
			t.title,
			strings.Join(t.header, " | "),
			rule,
		)
		if err != nil {
			return err
		}
		for _, row := range t.rows {
			fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
		}
	}
	return nil
}
