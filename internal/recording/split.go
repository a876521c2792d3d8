package recording

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrSplit says that a bound of a file is not one.
var ErrSplit = errors.New("bad bound of a file")

var units = map[string]int64{
	"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}

// ParseSplit reads the bounds of a file: a duration, "1h", a size, "2GiB", or one of each.
func ParseSplit(values []string) (d time.Duration, bytes int64, err error) {
	for _, v := range values {
		number := strings.TrimRight(v, "BKMGTi")
		unit := units[v[len(number):]]
		n, notSize := strconv.ParseInt(number, 10, 64)
		age, notAge := time.ParseDuration(v)
		switch {
		case notAge == nil && age >= time.Second && d == 0:
			d = age
		case notSize == nil && n > 0 && unit > 0 && n <= 1<<62/unit && bytes == 0:
			bytes = n * unit
		default:
			return 0, 0, fmt.Errorf(
				"%w: %q: want a time from 1s on, as 1h, a size, as 2GiB, or one of each",
				ErrSplit,
				v,
			)
		}
	}
	return d, bytes, nil
}
