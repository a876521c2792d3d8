package media

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The bounds of a stream name. The total keeps an escaped name, up to three
// times as long, within the 4096 bytes of a NATS protocol line.
const (
	MaxNameElement = 256
	MaxName        = 1024
)

// ErrName is wrapped by every error of [ParseName].
var ErrName = errors.New("bad stream name")

// Name is a stream's name: app/name or app/instance/name, two or more elements
// separated by slashes. How a client divides the path between its connect and
// its play command makes no difference.
type Name string

// ParseName joins the app of a connect command and the stream of a publish or
// play command. Queries ("?token=...") and surplus slashes are dropped.
func ParseName(app, stream string) (Name, error) {
	appElements, err := elements(app)
	if err != nil {
		return "", err
	}
	streamElements, err := elements(stream)
	if err != nil {
		return "", err
	}
	if len(appElements) == 0 || len(streamElements) == 0 {
		return "", fmt.Errorf("%w: the app or the stream is empty", ErrName)
	}
	name := strings.Join(append(appElements, streamElements...), "/")
	if len(name) > MaxName {
		return "", fmt.Errorf("%w: %d bytes, at most %d", ErrName, len(name), MaxName)
	}
	return Name(name), nil
}

func elements(path string) ([]string, error) {
	path, _, _ = strings.Cut(path, "?")
	var out []string
	for e := range strings.SplitSeq(path, "/") {
		if e == "" {
			continue
		}
		if err := checkElement(e); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

func checkElement(e string) error {
	switch {
	case len(e) > MaxNameElement:
		return fmt.Errorf("%w: an element of %d bytes, at most %d", ErrName, len(e), MaxNameElement)
	case !utf8.ValidString(e):
		return fmt.Errorf("%w: not UTF-8: %q", ErrName, e)
	case e == "." || e == "..":
		return fmt.Errorf("%w: %q is not an element", ErrName, e)
	case strings.ContainsFunc(e, unicode.IsControl):
		return fmt.Errorf("%w: control characters in %q", ErrName, e)
	}
	return nil
}

// Subject returns the name as NATS subject tokens, one per element, which are
// valid in a KV key too: letters, digits, '-' and '_' stand for themselves,
// every other byte is '=' and two hexadecimal digits.
func (n Name) Subject() string {
	var b strings.Builder
	for i := range len(n) {
		switch c := n[i]; {
		case c == '/':
			b.WriteByte('.')
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}
