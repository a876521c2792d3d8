package media

import (
	"context"
	"strconv"
	"strings"
	"time"

	"natscast/internal/cli/cmdline"
)

// numberMark stands for the number of a copy, or of a player, in a URL.
const numberMark = "{n}"

// maxCopies keeps well within the open files that a process may have.
const maxCopies = 10_000

// numbered makes count URLs of one. flag is the name of the flag with the count; copies need
// different URLs, players do not.
func numbered(url, flag string, count int) ([]string, error) {
	if count < 1 || count > maxCopies {
		return nil, cmdline.UsageError("--%s %d: want 1 to %d", flag, count, maxCopies)
	}
	if count > 1 && flag == "copies" && !strings.Contains(url, numberMark) {
		url += "-" + numberMark
	}
	urls := make([]string, count)
	for i := range urls {
		urls[i] = strings.ReplaceAll(url, numberMark, strconv.Itoa(i+1))
	}
	return urls, nil
}

// limited returns a context that ends after d, or with ctx when d is 0.
func limited(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}
