package bus

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"natscast/internal/media"
	"natscast/internal/size"
)

// Class is how long some streams are kept, in shards of their own.
type Class struct {
	// Pattern of the names of the streams: a [media.Pattern].
	Pattern string
	// Retention is how long a chunk is stored.
	Retention time.Duration
	// MaxBytes bounds each of the class's shards; the oldest chunks go first.
	MaxBytes int64
	// Storage of the shards (File).
	Storage Storage
}

// ParseRetention reads "1m", "lectures/*=4h,20GiB" and "cams/**=24h,100GiB,memory", one after
// another or several in one value, with commas between, and checks it. It returns how long all
// other streams are kept, 0 when that is not told.
func ParseRetention(values []string) (others time.Duration, classes []Class, err error) {
	for field := range strings.SplitSeq(strings.Join(values, ","), ",") {
		field = strings.TrimSpace(field)
		if i := strings.LastIndexByte(field, '='); i >= 0 {
			c := Class{Pattern: field[:i]}
			if c.Retention, err = time.ParseDuration(field[i+1:]); err != nil {
				return 0, nil, fmt.Errorf(
					"retention %q: want PATTERN=AGE, as lectures/*=4h,20GiB",
					field,
				)
			}
			classes = append(classes, c)
			continue
		}
		if age, err := time.ParseDuration(field); err == nil && age >= time.Second {
			others = age
			continue
		}
		if len(classes) == 0 || !classes[len(classes)-1].set(field) {
			return 0, nil, fmt.Errorf(
				"retention %q: neither an age from 1s on, as 60s, nor PATTERN=AGE,BYTES[,STORAGE], as lectures/*=4h,20GiB,file",
				field,
			)
		}
	}
	classes, err = checkClasses(classes)
	return others, classes, err
}

// set reads a field behind the age. It returns false when it is none, or comes twice.
func (c *Class) set(field string) bool {
	if s := Storage(field); s == File || s == Memory {
		once := c.Storage == ""
		c.Storage = s
		return once
	}
	n, ok := size.Parse(field)
	ok = ok && c.MaxBytes == 0
	c.MaxBytes = n
	return ok
}

// checkClasses returns the classes with their defaults, in the order in which they are tried: the
// longest pattern first.
func checkClasses(classes []Class) ([]Class, error) {
	classes = slices.Clone(classes)
	slices.SortFunc(classes, func(a, b Class) int {
		return cmp.Or(
			cmp.Compare(len(b.Pattern), len(a.Pattern)),
			cmp.Compare(a.Pattern, b.Pattern),
		)
	})
	tokens := map[string]bool{}
	for i := range classes {
		c := &classes[i]
		c.Storage = cmp.Or(c.Storage, File)
		switch {
		case !validPattern(c.Pattern):
			return nil, fmt.Errorf(
				"retention of %q: want a pattern of APP/NAME, as lectures/*",
				c.Pattern,
			)
		case c.Retention < time.Second:
			return nil, fmt.Errorf("retention of %q: %v, at least 1s", c.Pattern, c.Retention)
		case c.MaxBytes < 1:
			return nil, fmt.Errorf(
				"retention of %q: how many bytes at most? as %[1]s=%[2]v,20GiB",
				c.Pattern,
				c.Retention,
			)
		case c.Storage != Memory && c.Storage != File:
			return nil, fmt.Errorf("retention of %q: storage %q", c.Pattern, c.Storage)
		case tokens[c.token()]:
			return nil, fmt.Errorf("retention of %q is told twice", c.Pattern)
		}
		tokens[c.token()] = true
	}
	return classes, nil
}

func validPattern(text string) bool {
	p, err := media.ParsePattern(text)
	return err == nil && (len(p) > 1 || text == "**")
}

// token of the class in the names of its shards. It depends on the pattern alone, not on other
// classes, nor on the order of flags, so that all nodes have the same.
func (c *Class) token() string {
	if c.Pattern == "" {
		return ""
	}
	readable := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return r
		}
		return -1
	}, c.Pattern)
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(c.Pattern))
	return fmt.Sprintf("%s-%08x-", readable[:min(len(readable), 16)], hash.Sum32())
}

// shards are the tokens of the class's shards.
func (c *Class) shards(n int) []string {
	shards := make([]string, n)
	for i := range shards {
		shards[i] = c.token() + strconv.Itoa(i)
	}
	return shards
}

// classes are those of the options; the last one is that of all other streams.
func (o *Options) classes() []Class {
	return append(
		slices.Clip(o.Classes),
		Class{Retention: o.Retention, MaxBytes: o.MaxBytes, Storage: o.Storage},
	)
}

// classOf returns the class of a stream.
func (o *Options) classOf(name media.Name) Class {
	classes := o.classes()
	for _, c := range classes[:len(classes)-1] {
		if p, err := media.ParsePattern(c.Pattern); err == nil && p.Matches(name) {
			return c
		}
	}
	return classes[len(classes)-1]
}
