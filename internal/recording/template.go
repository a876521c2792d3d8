package recording

import (
	"errors"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"natscast/internal/media"
)

// ErrTemplate says that a template for file names is not one.
var ErrTemplate = errors.New("bad file name template")

// DefaultTemplate names files by stream and time.
const DefaultTemplate = "{app}/{name}-{time}"

// timeLayout is ISO 8601 without what file systems or shells dislike.
const timeLayout = "20060102T150405Z"

// Template makes file names:
//
//	{app}     the first element of the stream's name
//	{name}    the others, each one a directory but for the last
//	{stream}  both: app/name
//	{time}    when the file begins, in UTC: 20261122T100000Z
//	{n}       the number of the file in its recording, from 1
//
// Slashes part directories. The extension is that of the format.
type Template struct {
	text string
	ext  string
}

// ParseTemplate checks a template. It may end with the extension of the format.
func ParseTemplate(text string, format Format) (Template, error) {
	t := Template{strings.TrimSuffix(text, "."+string(format)), "." + string(format)}
	probe := t.fill(func(field string) (string, bool) {
		switch field {
		case "app", "name", "stream", "time", "n":
			return "x", true
		}
		return "", false
	})
	if strings.ContainsAny(probe, "{}\\\x00") {
		return t, fmt.Errorf(
			"%w: %q: the fields are {app}, {name}, {stream}, {time} and {n}",
			ErrTemplate,
			text,
		)
	}
	for e := range strings.SplitSeq(probe, "/") {
		if e == "" || strings.HasPrefix(e, ".") {
			return t, fmt.Errorf(
				"%w: %q: it is a relative path without hidden elements",
				ErrTemplate,
				text,
			)
		}
	}
	return t, nil
}

// IsFixed says that all files of a stream have the same name.
func (t Template) IsFixed() bool {
	return !strings.Contains(t.text, "{time}") && !strings.Contains(t.text, "{n}")
}

// path returns the path of a file, without its extension.
func (t Template) path(name media.Name, n int, at time.Time) string {
	app, rest, _ := strings.Cut(string(name), "/")
	return filepath.FromSlash(t.fill(func(field string) (string, bool) {
		switch field {
		case "app":
			return escapePath(app), true
		case "name":
			return escapePath(rest), true
		case "stream":
			return escapePath(string(name)), true
		case "time":
			return at.UTC().Format(timeLayout), true
		case "n":
			return strconv.Itoa(n), true
		}
		return "", false
	}))
}

// fill replaces the fields that value knows.
func (t Template) fill(value func(field string) (string, bool)) string {
	var b strings.Builder
	rest := t.text
	for {
		before, behind, found := strings.Cut(rest, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		field, after, closed := strings.Cut(behind, "}")
		v, known := value(field)
		if !closed || !known {
			b.WriteString("{")
			rest = behind
			continue
		}
		b.WriteString(v)
		rest = after
	}
}

func escapePath(path string) string {
	elements := strings.Split(path, "/")
	for i, e := range elements {
		elements[i] = escape(e)
	}
	return strings.Join(elements, "/")
}

// maxElement leaves room for what a template adds to a name, within the 255 bytes of a file system.
const maxElement = 160

// escape makes one element of a path of one of a stream's name: different ones stay different. '='
// and two hexadecimal digits stand for what is special to some file system, URL or shell. What is
// too long ends in "==" and a hash.
func escape(element string) string {
	var b strings.Builder
	for i := range len(element) {
		c := element[i]
		if c < ' ' || c == 0x7f || strings.IndexByte(`\/:*?"<>|%#=`, c) >= 0 ||
			i == 0 && (c == '.' || c == '-') {
			fmt.Fprintf(&b, "=%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	escaped := b.String()
	if len(escaped) <= maxElement {
		return escaped
	}
	hash := fnv.New64a()
	hash.Write([]byte(element))
	cut := maxElement - 18
	for cut > 0 && !utf8.RuneStart(escaped[cut]) {
		cut--
	}
	return fmt.Sprintf("%s==%016x", escaped[:cut], hash.Sum64())
}
