package natsserver

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
)

func TestErrors(t *testing.T) {
	t.Parallel()
	s, err := Start(Options{Dir: t.TempDir(), Port: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	_, err = Start(Options{Dir: t.TempDir(), Port: s.Port()})
	taken := net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port()))
	if !errors.Is(err, Err) || !strings.Contains(err.Error(), taken) {
		t.Errorf("port in use: %v", err)
	}
	if _, err := Start(Options{Dir: t.TempDir(), Port: 70000}); !errors.Is(err, Err) {
		t.Errorf("no port: %v", err)
	}
	if _, err := Start(Options{Dir: "/dev/null/store"}); !errors.Is(err, Err) {
		t.Errorf("no directory: %v", err)
	}
}
