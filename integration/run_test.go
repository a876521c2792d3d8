package integration

import "testing"

// The comparison of packets finds what it must find.
func TestRun(t *testing.T) {
	t.Parallel()
	key := func(ms int) packet { return packet{ms, ms + 80, true, string(rune('a' + ms/40))} }
	delta := func(ms int) packet { return packet{ms, ms + 40, false, string(rune('a' + ms/40))} }
	shifted := func(p packet) packet { p.dts++; p.pts++; return p }
	published := []packet{key(0), delta(40), delta(80), key(120), delta(160), delta(200)}
	for name, test := range map[string]struct {
		run      run
		received []packet
		good     bool
	}{
		"all":                  {run{atLeast: 6, toEnd: true}, published, true},
		"from a keyframe on":   {run{toEnd: true}, published[3:], true},
		"the beginning":        {run{}, published[:4], true},
		"all but the last":     {run{toEnd: true, mayLose: 1}, published[:5], true},
		"shifted as expected":  {run{shift: 1}, []packet{shifted(key(0)), shifted(delta(40))}, true},
		"too few":              {run{atLeast: 4}, published[3:], false},
		"not to the end":       {run{toEnd: true}, published[:5], false},
		"all but the last two": {run{toEnd: true, mayLose: 1}, published[:4], false},
		"not from a keyframe":  {run{}, published[1:], false},
		"a gap":                {run{}, []packet{key(0), delta(80)}, false},
		"twice":                {run{}, []packet{key(0), key(0), delta(40)}, false},
		"swapped":              {run{}, []packet{key(0), delta(80), delta(40)}, false},
		"shifted":              {run{}, []packet{shifted(key(0)), shifted(delta(40))}, false},
		"unknown":              {run{}, []packet{key(0), {40, 80, false, "?"}}, false},
		"beyond the end":       {run{}, []packet{key(120), delta(160), delta(200), delta(240)}, false},
		"nothing":              {run{atLeast: 1}, nil, false},
	} {
		if err := test.run.compare(published, test.received, true); (err == nil) != test.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
