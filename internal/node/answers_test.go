package node

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"natscast/edge"
	"natscast/edge/web"
	"natscast/internal/reason"
	"natscast/origin/library"
	"natscast/origin/recorder"
)

// The API's description tells all that a node counts, and nothing else.
func TestStatsAreDescribed(t *testing.T) {
	t.Parallel()
	var d struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Content map[string]struct{ Schema schema }
			}
		}
	}
	if err := json.Unmarshal(web.Description(), &d); err != nil {
		t.Fatal(err)
	}
	described := d.Paths["/api/v1/stats"]["get"].Responses["200"].Content["application/json"].Schema

	var counts reason.Counts
	all := Stats{
		Edge: edge.Stats{
			Skipped: counts.Of(reason.Skipped),
			Closed:  counts.Of(reason.Closed),
			Refused: counts.Of(reason.Refused),
		},
		Connections: []edge.ClientStats{{
			Players: []edge.PlayerStats{{Skipped: map[reason.Reason]uint64{reason.Lag: 1}}},
		}},
		Recorder: &recorder.Stats{},
		Library:  &library.Stats{},
	}
	all.Bus.Denied = counts.Of(reason.Denied)
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	var told any
	if err := json.Unmarshal(text, &told); err != nil {
		t.Fatal(err)
	}
	described.check(t, "stats", told)
}

// schema is what the test needs of a JSON schema.
type schema struct {
	Type       string
	Items      *schema
	Properties map[string]schema
}

// check compares the names that a schema describes with those of a value.
func (s schema) check(t *testing.T, at string, value any) {
	t.Helper()
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			s.Items.check(t, at+"[]", item)
		}
	case map[string]any:
		if len(s.Properties) == 0 {
			return // described elsewhere, or by reason
		}
		names, want := slices.Sorted(maps.Keys(v)), slices.Sorted(maps.Keys(s.Properties))
		if !slices.Equal(names, want) {
			t.Errorf("%s has %v, described are %v", at, names, want)
		}
		for name, property := range s.Properties {
			property.check(t, at+"."+name, v[name])
		}
	}
}
