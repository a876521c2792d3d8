package amf

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestAttacks is not parallel: it measures what the process allocates.
func TestAttacks(t *testing.T) {
	const (
		kib = 1 << 10
		mib = 1 << 20
	)
	tests := []struct {
		name  string
		amf3  bool
		input []byte
		want  error
		bytes uint64 // allocated at most
	}{
		{"AMF0 array of 2^32-1", false, unhex(t, "0a ffffffff 05"), ErrMalformed, 16 * kib},
		{"AMF0 array of as many as there are bytes", false, pack(t, "0a 007fffff"+strings.Repeat("0a 007fff00", 64), "ff", 8*mib), ErrLimit, 256 * kib},
		{"AMF0 long string of 2^32-1", false, unhex(t, "0c ffffffff 61"), ErrMalformed, 16 * kib},
		{"AMF0 nested objects", false, pack(t, "", "03 0001 61", 2*mib), ErrLimit, 256 * kib},
		{"AMF0 nested arrays", false, pack(t, "", "0a 00000001", 8*mib/5), ErrLimit, 256 * kib},
		{"AMF0 nulls", false, pack(t, "0a 007fffff", "05", 8*mib), ErrLimit, 32 * mib},
		{"AMF0 empty objects", false, pack(t, "0a 00200000", "03 000009", 2*mib), ErrLimit, 128 * mib},
		{"AMF0 reference bomb", false, unhex(t, "0a 00000040 0a 00000002 05 05"+doubling0(60)), ErrLimit, 256 * kib},
		{"AMF3 array of 2^28-1", true, unhex(t, "09 ffffffff 01"), ErrMalformed, 16 * kib},
		{"AMF3 string of 2^28-1", true, unhex(t, "06 ffffffff 61"), ErrMalformed, 16 * kib},
		{"AMF3 byte array of 2^28-1", true, unhex(t, "0c ffffffff 61"), ErrMalformed, 16 * kib},
		{"AMF3 vector of 2^28-1 doubles", true, unhex(t, "0f ffffffff 00 61"), ErrMalformed, 16 * kib},
		{"AMF3 vector of 2^28-1 objects", true, unhex(t, "10 ffffffff 00 01 01"), ErrMalformed, 16 * kib},
		{"AMF3 dictionary of 2^28-1", true, unhex(t, "11 ffffffff 00 01 01"), ErrMalformed, 16 * kib},
		{"AMF3 class of 2^25-1 members", true, unhex(t, "0a fffffff3 01 01"), ErrMalformed, 16 * kib},
		{"AMF3 nested arrays", true, pack(t, "", "09 03 01", 8*mib/3), ErrLimit, 256 * kib},
		{"AMF3 nested dictionaries", true, pack(t, "", "11 03 00", 8*mib/3), ErrLimit, 256 * kib},
		{"AMF3 nested classes of many names", true, pack(t, "", "0a e48003 01"+strings.Repeat("01", 100*kib), 64), ErrLimit, 32 * mib},
		{"AMF3 empty objects", true, pack(t, "09 81808001 01 0a 0b 01 01", "0a 01 01", 4*mib), ErrLimit, 128 * mib},
		{"AMF3 value reference bomb", true, unhex(t, "09 8101 01 09 05 01 01 01"+doubling3(60)), ErrLimit, 256 * kib},
		{"AMF3 string reference bomb", true, pack(t, "09 81808001 01 06 888001"+longHex, "06 00", mib), ErrLimit, 2 * mib},
		{"AMF3 key reference bomb", true, pack(t, "09 81808001 01 0a 13 01 87ff7f"+longHex[2:]+"01", "0a 01 01", mib), ErrLimit, 2 * mib},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			decode := Decode0
			if tt.amf3 {
				decode = Decode3
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, _, err := decode(tt.input)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > tt.bytes {
				t.Errorf("%d KiB allocated for %d KiB, want at most %d", n/kib, len(tt.input)/kib, tt.bytes/kib)
			}
			if took > 2*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// pack is head followed by n times unit.
func pack(t *testing.T, head, unit string, n int) []byte {
	t.Helper()
	return append(unhex(t, head), bytes.Repeat(unhex(t, unit), n)...)
}

// doubling0 is n arrays that each hold the one before twice; the first of them
// follows an array that has reference 1.
func doubling0(n int) string {
	var b strings.Builder
	for i := range n {
		place := string("0123456789abcdef"[(i+1)>>4]) + string("0123456789abcdef"[(i+1)&15])
		b.WriteString("0a 00000002" + strings.Repeat("07 00"+place, 2))
	}
	return b.String()
}

func doubling3(n int) string {
	var b strings.Builder
	for i := range n {
		head := (i + 1) << 1
		place := string("0123456789abcdef"[head>>4]) + string("0123456789abcdef"[head&15])
		b.WriteString("09 05 01" + strings.Repeat("09"+place, 2))
	}
	return b.String()
}

// References below the limits may hold a value often; written out, it stays
// within the bound that decoding promised.
func TestReferencesWithinLimits(t *testing.T) {
	t.Parallel()
	for i, input := range [][]byte{
		unhex(t, "0a 0000000d 0a 00000002 05 05"+doubling0(12)),
		unhex(t, "09 1b 01 09 05 01 01 01"+doubling3(12)),
	} {
		f := formats()[i]
		v, rest, err := f.decode(input)
		if err != nil || len(rest) != 0 {
			t.Fatal(f.name, err, len(rest))
		}
		b, err := f.append(nil, v)
		if err != nil {
			t.Fatal(f.name, err)
		}
		again, _, err := f.decode(b)
		if err != nil {
			t.Fatal(f.name, err)
		}
		if second, err := f.append(nil, again); err != nil || !bytes.Equal(b, second) {
			t.Errorf("%s: the tree and its references differ, %v", f.name, err)
		}
	}
}

// A chain of references is as deep as if it were written out.
func TestDepthThroughReferences(t *testing.T) {
	t.Parallel()
	// chain is an array of n arrays; the first is empty, each of the others
	// holds a reference to the one before. Its depth is n+1.
	chain := func(n int) []byte {
		b := []byte{strictArray0, 0, 0, 0, byte(n), strictArray0, 0, 0, 0, 0}
		for i := 1; i < n; i++ {
			b = append(b, strictArray0, 0, 0, 0, 1, reference0, 0, byte(i))
		}
		return b
	}
	v, _, err := Decode0(chain(maxDepth - 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Append0(nil, v); err != nil {
		t.Error(err)
	}
	if _, _, err := Decode0(chain(maxDepth)); !errors.Is(err, ErrLimit) {
		t.Errorf("%v, want %v", err, ErrLimit)
	}
}
