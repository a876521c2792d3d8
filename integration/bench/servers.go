//go:build linux

package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// server is what the players are connected to.
type server struct {
	*process
	nats    *process // nil where it is a part of the process, or not needed
	address string
	http    string // where it serves HTTP; "" if it does not
	bare    bool   // it speaks no RTMP: see limit
}

// end is that of the process, and of its NATS server.
func (s *server) end(err error) error {
	err = s.process.end(err)
	if s.nats != nil {
		err = s.nats.end(err)
	}
	return err
}

// row is one line of the table.
type row struct {
	name  string // on the command line
	label string
	start func(context.Context, *workshop) (*server, error)
}

const (
	baseline = "nginx"
	limitRow = "limit"
)

var rows = []row{
	{baseline, "nginx-rtmp", startNginx},
	{limitRow, "bare loop, one send per video frame", startLimit},
	{"natscast", "natscast dev", startDev()},
	{"natscast-50ms", "natscast dev --coalesce 50ms", startDev("--coalesce", "50ms")},
	{"natscast-100ms", "natscast dev --coalesce 100ms", startDev("--coalesce", "100ms")},
	{"natscast-edge", "natscast edge, its nats-server not counted", startEdge},
}

// startNginx starts nginx-rtmp as one worker, with its defaults.
func startNginx(ctx context.Context, w *workshop) (*server, error) {
	return startNginxWith(ctx, w, "live on;")
}

// startNginxWith has an application of one's own.
func startNginxWith(ctx context.Context, w *workshop, application string) (*server, error) {
	dir, err := w.temp()
	if err != nil {
		return nil, err
	}
	name, err := exec.LookPath("nginx")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	// Pings are off because the swept players do not answer them.
	config := fmt.Sprintf(`
load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
daemon off;
master_process off;
pid %s/nginx.pid;
error_log stderr error;
events { worker_connections 16384; }
rtmp {
	access_log off;
	server {
		listen %s;
		ping 0;
		application live { %s }
	}
}
`, dir, address, application)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	p, err := start(ctx, name, "-p", dir, "-e", "stderr", "-c", file)
	if err != nil {
		return nil, err
	}
	err = p.await(func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return &server{process: p, address: address}, err
}

// freeAddress is for a server that cannot choose one itself.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

//go:embed limit/limit.c
var limitSource []byte

// startLimit starts the bare loop, which writes down where it listens.
func startLimit(ctx context.Context, w *workshop) (*server, error) {
	name, err := w.compile(ctx, "limit", limitSource)
	if err != nil {
		return nil, err
	}
	dir, err := w.temp()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "ready.json")
	p, err := start(ctx, name, file)
	if err != nil {
		return nil, err
	}
	var address string
	err = p.await(func() bool { return readJSON(file, &address) })
	return &server{process: p, address: address, bare: true}, err
}

// startDev returns a function that starts NATS and a node in one process.
func startDev(args ...string) func(context.Context, *workshop) (*server, error) {
	return func(ctx context.Context, w *workshop) (*server, error) {
		dir, err := w.temp()
		if err != nil {
			return nil, err
		}
		return startNode(
			ctx,
			w,
			append([]string{"dev", "--no-demo", "--nats-port", "0", "--data", dir}, args...)...)
	}
}

// startEdge starts a node on a NATS server of its own.
func startEdge(ctx context.Context, w *workshop) (*server, error) {
	nats, url, err := startNATS(ctx, w)
	if err != nil {
		return nil, err
	}
	s, err := startNode(ctx, w, "edge", "--nats", url)
	if err != nil {
		nats.stop()
		return nil, err
	}
	s.nats = nats
	return s, nil
}

// startNode starts natscast, which writes down where it listens.
func startNode(ctx context.Context, w *workshop, args ...string) (*server, error) {
	name, err := w.build(ctx, "cmd/natscast")
	if err != nil {
		return nil, err
	}
	dir, err := w.temp()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "ready.json")
	p, err := start(ctx, name, append(args, "--rtmp", "127.0.0.1:0", "--ready-file", file)...)
	if err != nil {
		return nil, err
	}
	var ready struct {
		Nodes []struct{ RTMP, HTTP string }
	}
	err = p.await(func() bool { return readJSON(file, &ready) && len(ready.Nodes) > 0 })
	if err != nil {
		return nil, err
	}
	return &server{process: p, address: ready.Nodes[0].RTMP, http: ready.Nodes[0].HTTP}, nil
}

// startNATSCluster starts as many nats-servers that form a cluster, or one that is none. It returns
// those that it has started with the error too.
func startNATSCluster(
	ctx context.Context,
	w *workshop,
	size int,
) (servers []*process, urls []string, err error) {
	lines := make([]string, size)
	if size > 1 {
		routes, err := freeAddresses(size)
		if err != nil {
			return nil, nil, err
		}
		for i, address := range routes {
			lines[i] = fmt.Sprintf(
				"server_name: n%d\ncluster { name: c, listen: %q, routes: [\"nats://%s\"] }\n",
				i,
				address,
				strings.Join(routes, `", "nats://`),
			)
		}
	}
	for i := range size {
		s, url, err := launchNATS(ctx, w, lines[i])
		if err != nil {
			return servers, nil, err
		}
		servers, urls = append(servers, s), append(urls, url)
	}
	return servers, urls, nil
}

// freeAddresses are some that nobody listens on now.
func freeAddresses(n int) (addresses []string, err error) {
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		addresses = append(addresses, ln.Addr().String())
	}
	return addresses, nil
}

// startNATS starts a nats-server configured as nodes want it.
func startNATS(ctx context.Context, w *workshop) (p *process, url string, err error) {
	return launchNATS(ctx, w, "")
}

// launchNATS starts one with more lines in its configuration.
func launchNATS(ctx context.Context, w *workshop, more string) (p *process, url string, err error) {
	name, err := w.build(ctx, "integration/bench/nats-server")
	if err != nil {
		return nil, "", err
	}
	dir, err := w.temp()
	if err != nil {
		return nil, "", err
	}
	config := fmt.Sprintf(`
listen: "127.0.0.1:-1"
no_fast_producer_stall: true
ports_file_dir: %[1]q
jetstream { store_dir: %[1]q }
%[2]s`, dir, more)
	file := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, "", err
	}
	if p, err = start(ctx, name, "-c", file); err != nil {
		return nil, "", err
	}
	var ports struct{ NATS []string }
	err = p.await(func() bool {
		found, err := filepath.Glob(filepath.Join(dir, "*.ports"))
		return err == nil && len(found) > 0 && readJSON(found[0], &ports) && len(ports.NATS) > 0
	})
	if err != nil {
		return nil, "", err
	}
	return p, ports.NATS[0], nil
}

func readJSON(file string, to any) bool {
	b, err := os.ReadFile(file)
	return err == nil && json.Unmarshal(b, to) == nil
}
