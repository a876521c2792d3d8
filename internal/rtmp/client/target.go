package client

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// ErrURL is wrapped by errors about a URL that is not rtmp://host[:port]/app/stream.
var ErrURL = errors.New("bad RTMP URL")

const defaultPort = "1935"

// target is what a URL says.
type target struct {
	address string // host:port
	tcURL   string // the URL of the app
	app     string // up to the last slash of the path, instance included
	stream  string // what follows, query included
}

// parseURL takes the path as it is written: names go to the server byte for byte,
// percent signs and all, as other RTMP clients send them.
func parseURL(raw string) (target, error) {
	rest, ok := strings.CutPrefix(raw, "rtmp://")
	if !ok {
		return target{}, fmt.Errorf("%w: %q does not begin with rtmp://", ErrURL, raw)
	}
	host, path, _ := strings.Cut(rest, "/")
	path, query, hasQuery := strings.Cut(path, "?")
	slash := strings.LastIndexByte(path, '/')
	if host == "" || slash <= 0 || slash == len(path)-1 {
		return target{}, fmt.Errorf("%w: %q is not rtmp://host[:port]/app/stream", ErrURL, raw)
	}
	t := target{address: host, app: path[:slash], stream: path[slash+1:]}
	t.tcURL = "rtmp://" + host + "/" + t.app
	if hasQuery {
		t.stream += "?" + query
	}
	if _, _, err := net.SplitHostPort(host); err != nil {
		t.address = net.JoinHostPort(strings.Trim(host, "[]"), defaultPort)
	}
	return t, nil
}
