package media

import (
	"errors"
	"strings"
	"testing"
)

func TestParseName(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", MaxNameElement)
	cases := []struct {
		app, stream string
		want        Name // "" for an error
		subject     string
	}{
		{"live", "cam", "live/cam", "live.cam"},
		{"live/room", "cam", "live/room/cam", "live.room.cam"},
		{"live", "room/cam", "live/room/cam", "live.room.cam"},
		{"/live/", "//cam/", "live/cam", "live.cam"},
		{"live?token=a/b", "cam?x=../y", "live/cam", "live.cam"},
		{"live", "a.b*c>d e", "live/a.b*c>d e", "live.a=2Eb=2Ac=3Ed=20e"},
		{"live", "é=%zz", "live/é=%zz", "live.=C3=A9=3D=25zz"},
		{"live", "-_9", "live/-_9", "live.-_9"},
		{"live", long, Name("live/" + long), "live." + long},
		{"live", long + "x", "", ""},
		{"live", strings.Repeat(long+"/", 4), "", ""},
		{"", "cam", "", ""},
		{"live", "", "", ""},
		{"live", "?token", "", ""},
		{"live", "../../etc", "", ""},
		{".", "cam", "", ""},
		{"live", "a\x00b", "", ""},
		{"live", "a\u0085b", "", ""},
		{"live", "\xff", "", ""},
	}
	for _, c := range cases {
		got, err := ParseName(c.app, c.stream)
		if got != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, ErrName) {
			t.Errorf("ParseName(%q, %q) = %q, %v; want %q", c.app, c.stream, got, err, c.want)
		}
		if got.Subject() != c.subject {
			t.Errorf("%q: subject %q, want %q", got, got.Subject(), c.subject)
		}
	}
}

func FuzzParseName(f *testing.F) {
	f.Add("live", "cam")
	f.Add("live?x", "a/../b")
	f.Add("é.*>", "\x00 =")
	f.Fuzz(func(t *testing.T, app, stream string) {
		name, err := ParseName(app, stream)
		if err != nil {
			return
		}
		subject := name.Subject()
		if strings.ContainsAny(subject, "*> \t\r\n/") || strings.Contains("."+subject+".", "..") {
			t.Errorf("%q has the subject %q", name, subject)
		}
		if len(subject) > 3*MaxName {
			t.Errorf("a subject of %d bytes", len(subject))
		}
		if again, err := ParseName("x", string(name)); err == nil && again != "x/"+name {
			t.Errorf("%q parses as %q behind x", name, again)
		}
	})
}
