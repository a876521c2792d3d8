package client

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// ErrURL is wrapped by errors about a URL that is not rtmp[s]://host[:port]/app/stream.
var ErrURL = errors.New("bad RTMP URL")

// Default ports; that of rtmps is the one of https, as for other RTMP clients.
const (
	rtmpPort  = "1935"
	rtmpsPort = "443"
)

// target is what a URL says.
type target struct {
	secure  bool   // rtmps
	address string // host:port
	tcURL   string // the URL of the app
	app     string // up to the last slash of the path, instance included
	stream  string // what follows, query included
}

// parseURL takes the path as it is written: names go to the server byte for byte,
// percent signs and all, as other RTMP clients send them.
func parseURL(raw string) (target, error) {
	scheme, rest, _ := strings.Cut(raw, "://")
	port := rtmpPort
	switch scheme {
	case "rtmp":
	case "rtmps":
		port = rtmpsPort
	default:
		return target{}, fmt.Errorf("%w: %q does not begin with rtmp:// or rtmps://", ErrURL, raw)
	}
	host, path, _ := strings.Cut(rest, "/")
	path, query, hasQuery := strings.Cut(path, "?")
	slash := strings.LastIndexByte(path, '/')
	if host == "" || slash <= 0 || slash == len(path)-1 {
		return target{}, fmt.Errorf("%w: %q is not %s://host[:port]/app/stream", ErrURL, raw, scheme)
	}
	t := target{secure: scheme == "rtmps", address: host, app: path[:slash], stream: path[slash+1:]}
	t.tcURL = scheme + "://" + host + "/" + t.app
	if hasQuery {
		t.stream += "?" + query
	}
	if _, _, err := net.SplitHostPort(host); err != nil {
		t.address = net.JoinHostPort(strings.Trim(host, "[]"), port)
	}
	return t, nil
}

// hostname is the name that the server's certificate must have.
func (t target) hostname() string {
	host, _, _ := net.SplitHostPort(t.address) // as parseURL has made it
	return host
}
