package webobjects

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

func tag(revision uint64) string { return fmt.Sprintf("%q", strconv.FormatUint(revision, 10)) }

// matches says whether one of the tags of a header is that of a revision. Weak tags are as good
// where that is allowed.
func matches(header []string, revision uint64, weak bool) bool {
	for t := range strings.SplitSeq(strings.Join(header, ","), ",") {
		t = strings.TrimSpace(t)
		if weak {
			t = strings.TrimPrefix(t, "W/")
		}
		if t == tag(revision) || t == "*" && revision > 0 {
			return true
		}
	}
	return false
}

// precondition returns the revision that an attribute must have, which it has now: nil for any.
func (p *plain) precondition(revision uint64) (*uint64, error) {
	wanted, unwanted := p.header.Values("If-Match"), p.header.Values("If-None-Match")
	switch {
	case len(wanted)+len(unwanted) == 0:
		return nil, nil
	case !p.hasKey:
		return nil, failure(
			http.StatusBadRequest,
			"If-Match and If-None-Match are for one attribute: ?key=...",
		)
	case len(wanted) > 0 && !matches(wanted, revision, false),
		len(unwanted) > 0 && matches(unwanted, revision, true):
		return nil, fmt.Errorf("%w: %d", errPrecondition, revision)
	}
	return &revision, nil
}
