package term

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Printable escapes the characters of s that a terminal would act upon or that people
// cannot see: everything but letters, signs and spaces.
func Printable(s string) string {
	for _, r := range s {
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			quoted := strconv.Quote(s)
			return quoted[1 : len(quoted)-1]
		}
	}
	return s
}

// Age is how long ago something happened, and empty when that is not known. The time is
// by another node's clock, which may be ahead of ours: nothing is younger than 0.
func Age(since time.Time) string {
	if since.IsZero() {
		return ""
	}
	d := max(time.Since(since), 0).Truncate(time.Second)
	if days := d / (24 * time.Hour); days > 0 {
		return fmt.Sprintf("%dd%dh", days, d%(24*time.Hour)/time.Hour)
	}
	return d.String()
}

// Percent is a part of a whole. It is empty when there is no whole.
func Percent(part, whole float64) string {
	if whole <= 0 {
		return ""
	}
	return fmt.Sprintf("%.1f %%", 100*part/whole)
}

// PerSecond writes a rate of events.
func PerSecond(rate float64) string { return fmt.Sprintf("%.1f", rate) }

// Yes is "yes", or empty for no.
func Yes(is bool) string {
	if is {
		return "yes"
	}
	return ""
}

// Bar draws which part of something is done, from 0 to 1. The bar is so many characters
// wide.
func Bar(done float64, width int) string {
	done = min(max(done, 0), 1)
	full := int(done * float64(width))
	return fmt.Sprintf("[%s%s] %3.0f%%",
		strings.Repeat("=", full), strings.Repeat(" ", width-full), done*100)
}

// Bytes writes a size as a person reads it.
func Bytes(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	default:
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	}
}

// Bitrate writes bits per second as a person reads them.
func Bitrate(bits float64) string {
	switch {
	case bits >= 1e9:
		return fmt.Sprintf("%.2f Gbit/s", bits/1e9)
	case bits >= 1e6:
		return fmt.Sprintf("%.1f Mbit/s", bits/1e6)
	default:
		return fmt.Sprintf("%.0f kbit/s", bits/1e3)
	}
}
