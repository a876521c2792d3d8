package size

import "testing"

func TestParse(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int64{
		"1": 1, "7B": 7, "2KB": 2000, "512MiB": 512 << 20, "1TiB": 1 << 40, "4194304TiB": 1 << 62,
		"": 0, "MiB": 0, "0": 0, "-1MiB": 0, "1.5GiB": 0, "1mb": 0, "1KiBB": 0, "1 MiB": 0,
		"4194305TiB": 0, "9223372036854775808": 0,
	} {
		if got, ok := Parse(s); got != want || ok != (want > 0) {
			t.Errorf("%q: %d, %v, want %d", s, got, ok, want)
		}
	}
}
