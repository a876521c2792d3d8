package media

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// ErrPattern says that a text is no [Pattern].
var ErrPattern = errors.New("bad stream pattern")

// Pattern matches stream names: an element of it matches one of the name as a shell does ("*", "?",
// "[a-z]"), and "**" any number of them. "live/*" matches live/cam, "**" everything.
type Pattern []string

// ParsePattern checks a pattern.
func ParsePattern(text string) (Pattern, error) {
	p := Pattern(strings.Split(strings.Trim(text, "/"), "/"))
	for _, e := range p {
		if _, err := path.Match(e, ""); err != nil || e == "" {
			return nil, fmt.Errorf("%w: %q: want live/*, live/**, live/cam-?", ErrPattern, text)
		}
	}
	// Two in a row say the same as one, and cost more.
	return slices.CompactFunc(p, func(a, b string) bool { return a == "**" && b == "**" }), nil
}

// Matches says whether the pattern matches a name.
func (p Pattern) Matches(name Name) bool {
	return matches(p, strings.Split(string(name), "/"))
}

// matches goes back to the latest "**" where it fails, and no further: time is at most the product
// of the lengths.
func matches(pattern, name []string) bool {
	i, j := 0, 0
	again, from := -1, 0 // the latest "**", and what it matches up to
	for j < len(name) {
		switch {
		case i < len(pattern) && pattern[i] == "**":
			again, from = i, j
			i++
		case i < len(pattern) && matchesElement(pattern[i], name[j]):
			i, j = i+1, j+1
		case again >= 0:
			from++
			i, j = again+1, from
		default:
			return false
		}
	}
	return i == len(pattern) || i == len(pattern)-1 && pattern[i] == "**"
}

func matchesElement(pattern, element string) bool {
	ok, err := path.Match(pattern, element)
	return ok && err == nil
}
