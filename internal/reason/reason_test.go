package reason

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
)

// Each reason has a kind, a word of its own and a text.
func TestTable(t *testing.T) {
	t.Parallel()
	word := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	seen := map[string]bool{}
	for r := none + 1; r < end; r++ {
		if table[r].kind == "" || r.Error() == "" || !word.MatchString(r.String()) {
			t.Errorf("reason %d: %+v", r, table[r])
		}
		if seen[r.String()] {
			t.Errorf("%s twice", r)
		}
		seen[r.String()] = true
		var again Reason
		if err := again.UnmarshalText([]byte(r.String())); err != nil || again != r {
			t.Errorf("%s is read as %s: %v", r, again, err)
		}
	}
	var r Reason
	if err := r.UnmarshalText([]byte("nonsense")); err == nil {
		t.Error("nonsense is a reason")
	}
}

// A line of the log has the word and the text.
func TestLog(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	log.Info("ended", Log(fmt.Errorf("session: %w", Kicked))...)
	log.Info("ended", Log(errors.New("broken pipe"))...)
	const want = "level=INFO msg=ended reason=kicked err=\"session: kicked\"\n" +
		"level=INFO msg=ended err=\"broken pipe\"\n"
	if b.String() != want {
		t.Errorf("%s", b.String())
	}
}

// What is counted is told by kind, in JSON by words.
func TestCounts(t *testing.T) {
	t.Parallel()
	var c Counts
	c.Add(Lag, 3)
	c.AddError(Closed, fmt.Errorf("session: %w", Stuck))
	c.AddError(Closed, fmt.Errorf("session: %w", NameTaken)) // of another kind
	c.AddError(Closed, errors.New("something else"))
	for kind, want := range map[Kind]string{
		Skipped: `{"gap":0,"lag":3}`,
		Refused: `{"bad_name":0,"name_taken":0,"not_found":0,"unavailable":0}`,
	} {
		if got, err := json.Marshal(c.Of(kind)); err != nil || string(got) != want {
			t.Errorf("%s: %s, want %s: %v", kind, got, want, err)
		}
	}
	for r, n := range c.Of(Closed) {
		if n != 0 != (r == Stuck) {
			t.Errorf("%s: %d", r, n)
		}
	}
}
