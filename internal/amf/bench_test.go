package amf

import "testing"

func connect() []Value {
	return []Value{"connect", 1.0, &Object{Members: Members{
		{"app", "live"},
		{"type", "nonprivate"},
		{"flashVer", "FMLE/3.0 (compatible; FMSc/1.0)"},
		{"tcUrl", "rtmp://127.0.0.1:1935/live"},
		{"fpad", false},
		{"capabilities", 15.0},
		{"audioCodecs", 4071.0},
		{"videoCodecs", 252.0},
	}}}
}

func BenchmarkDecodeConnect(b *testing.B) {
	body, err := Append0(nil, connect()...)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeAll0(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodePlay(b *testing.B) {
	body, err := Append0(nil, "play", 4.0, nil, "stream", -2000.0)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeAll0(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendOnStatus(b *testing.B) {
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		_, err := Append0(buf, "onStatus", 0.0, nil, &Object{Members: Members{
			{"level", "status"},
			{"code", "NetStream.Play.Start"},
			{"description", "Started playing stream."},
		}})
		if err != nil {
			b.Fatal(err)
		}
	}
}
