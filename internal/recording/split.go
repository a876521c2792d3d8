package recording

import (
	"errors"
	"fmt"
	"time"

	"natscast/internal/size"
)

// ErrSplit says that a bound of a file is not one.
var ErrSplit = errors.New("bad bound of a file")

// ParseSplit reads the bounds of a file: a duration, "1h", a size, "2GiB", or one of each.
func ParseSplit(values []string) (d time.Duration, bytes int64, err error) {
	for _, v := range values {
		n, isSize := size.Parse(v)
		age, notAge := time.ParseDuration(v)
		switch {
		case notAge == nil && age >= time.Second && d == 0:
			d = age
		case isSize && bytes == 0:
			bytes = n
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
