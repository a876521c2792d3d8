// Package size reads numbers of bytes as people write them.
package size

import (
	"strconv"
	"strings"
)

var units = map[string]int64{
	"": 1, "B": 1,
	"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}

// Parse reads a size of at least one byte, as "512MiB". It reports false for anything else, and for
// what is far more than there is.
func Parse(s string) (bytes int64, ok bool) {
	number := strings.TrimRight(s, "BKMGTi")
	unit, ok := units[s[len(number):]]
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || n < 1 || n > 1<<62/unit {
		return 0, false
	}
	return n * unit, true
}
