package conn

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"natscast/internal/testcert"
)

// The files are looked at once a second, each state of them is tried once.
func TestCertificateFiles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p := testcert.New(t, 1)
		c, err := newCertificate(p.CertFile, p.KeyFile, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			name   string
			change func()
			wait   time.Duration
			serial int64
			errors int // logged so far
		}{
			{"unchanged", func() {}, recheckInterval, 1, 0},
			{"renewed", func() { p.Renew(t, 2) }, 0, 1, 0},
			{"renewed, and it is time to look", func() {}, recheckInterval, 2, 0},
			{"no certificate", func() { testcert.Replace(t, p.CertFile, []byte("no PEM")) }, recheckInterval, 2, 1},
			{"still none", func() {}, 10 * recheckInterval, 2, 1},
			{"none at all", func() { os.Remove(p.CertFile) }, recheckInterval, 2, 2},
			{"still none at all", func() {}, recheckInterval, 2, 2},
			{"renewed again", func() { p.Renew(t, 3) }, recheckInterval, 3, 2},
			{"the key of another", func() {
				other := testcert.New(t, 4)
				if err := os.Rename(other.KeyFile, p.KeyFile); err != nil {
					t.Fatal(err)
				}
			}, recheckInterval, 3, 3},
			{"a pair again", func() { p.Renew(t, 5) }, recheckInterval, 5, 3},
		} {
			step.change()
			time.Sleep(step.wait)
			pair, err := c.get(nil)
			if err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			if serial := pair.Leaf.SerialNumber.Int64(); serial != step.serial {
				t.Errorf("%s: certificate %d, want %d", step.name, serial, step.serial)
			}
			if n := strings.Count(log.String(), "level=ERROR"); n != step.errors {
				t.Errorf("%s: %d errors logged, want %d\n%s", step.name, n, step.errors, &log)
			}
		}
	})
}

func TestNoCertificate(t *testing.T) {
	t.Parallel()
	p := testcert.New(t, 1)
	for _, p := range []testcert.Pair{
		{CertFile: p.CertFile, KeyFile: p.CertFile}, {CertFile: p.KeyFile, KeyFile: p.KeyFile},
		{CertFile: "/nonexistent", KeyFile: p.KeyFile},
	} {
		_, err := NewTLSListener(nil, p.CertFile, p.KeyFile, nil)
		if err == nil || !strings.Contains(err.Error(), p.CertFile) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}
