package client

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// ErrURL is wrapped by errors about a URL that is not rtmp[s]://host[:port]/app/stream,
// or /app for DialApp.
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
	stream  string // what follows, query included; empty for DialApp
}

// parseURL takes the path as it is written: names go to the server byte for byte,
// percent signs and all, as other RTMP clients send them.
func parseURL(raw string) (target, error) {
	t, path, query, err := splitURL(raw)
	if err != nil {
		return target{}, err
	}
	slash := strings.LastIndexByte(path, '/')
	if slash <= 0 || slash == len(path)-1 {
		return target{}, fmt.Errorf("%w: %q is not rtmp[s]://host[:port]/app/stream", ErrURL, raw)
	}
	t.stream = path[slash+1:] + query
	t.setApp(path[:slash])
	return t, nil
}

// parseAppURL is parseURL for a URL without a stream: the whole path is the app, and
// so is the query.
func parseAppURL(raw string) (target, error) {
	t, path, query, err := splitURL(raw)
	if err != nil {
		return target{}, err
	}
	path = strings.TrimSuffix(path, "/")
	if path == "" || path[0] == '/' {
		return target{}, fmt.Errorf("%w: %q is not rtmp[s]://host[:port]/app", ErrURL, raw)
	}
	t.setApp(path + query)
	return t, nil
}

// splitURL cuts a URL at its host, which goes into t, and at its query, which keeps
// its question mark.
func splitURL(raw string) (t target, path, query string, err error) {
	scheme, rest, _ := strings.Cut(raw, "://")
	port := rtmpPort
	switch scheme {
	case "rtmp":
	case "rtmps":
		port = rtmpsPort
	default:
		return target{}, "", "", fmt.Errorf(
			"%w: %q does not begin with rtmp:// or rtmps://",
			ErrURL,
			raw,
		)
	}
	host, path, _ := strings.Cut(rest, "/")
	if host == "" {
		return target{}, "", "", fmt.Errorf("%w: %q has no host", ErrURL, raw)
	}
	if mark := strings.IndexByte(path, '?'); mark >= 0 {
		path, query = path[:mark], path[mark:]
	}
	t = target{secure: scheme == "rtmps", address: host, tcURL: scheme + "://" + host}
	if _, _, err := net.SplitHostPort(host); err != nil {
		t.address = net.JoinHostPort(strings.Trim(host, "[]"), port)
	}
	return t, path, query, nil
}

func (t *target) setApp(app string) {
	t.app = app
	t.tcURL += "/" + app
}

// hostname is the name that the server's certificate must have.
func (t target) hostname() string {
	host, _, _ := net.SplitHostPort(t.address) // as parseURL has made it
	return host
}
