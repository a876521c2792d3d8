package media

import (
	"errors"
	"strings"
	"testing"
)

func TestPattern(t *testing.T) {
	t.Parallel()
	for pattern, names := range map[string]string{
		"live/*":      "live/cam live/.x !live/room/cam !vod/cam",
		"live/**":     "live/cam live/room/cam !vod/cam",
		"**":          "live/cam live/room/cam",
		"**/**":       "live/cam live/room/cam",
		"**/cam":      "live/cam live/room/cam !live/cam2 !live/cam/x",
		"live/**/cam": "live/cam live/a/b/cam !live/cam/x !x/live/cam",
		"live/cam-?":  "live/cam-1 !live/cam-12 !live/cam-",
		"/live/cam/":  "live/cam !live/cam2",
		"a/**/b/**/c": "a/b/c a/x/b/y/c a/b/b/c/c !a/c !a/b",
		"live/[a-c]*": "live/abc !live/dbc",
		"":            "",
		"live//cam":   "",
		"live/[":      "",
	} {
		p, err := ParsePattern(pattern)
		if (err == nil) != (names != "") || err != nil && !errors.Is(err, ErrPattern) {
			t.Errorf("%q: %v", pattern, err)
			continue
		}
		for name := range strings.FieldsSeq(names) {
			name, not := strings.CutPrefix(name, "!")
			if p.Matches(Name(name)) == not {
				t.Errorf("%q matches %q: %v", pattern, name, not)
			}
		}
	}
}
