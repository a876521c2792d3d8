package console

import "testing"

func TestBar(t *testing.T) {
	t.Parallel()
	for done, want := range map[float64]string{
		-1: "[    ]   0%", 0: "[    ]   0%", 0.3: "[=   ]  30%", 0.99: "[=== ]  99%", 1: "[====] 100%", 2: "[====] 100%",
	} {
		if got := Bar(done, 4); got != want {
			t.Errorf("%v: %q, want %q", done, got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 kB", 1500: "2 kB", 2_340_000: "2.3 MB", 7_000_000_000: "7.00 GB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
