package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/cmdline"
	"natscast/internal/rtmp/client"
)

func TestRTMPSFlags(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		want rtmpsConfig
		err  error
	}{
		"none":                {nil, rtmpsConfig{}, nil},
		"all":                 {[]string{"--rtmps=:443", "--rtmps-cert=c", "--rtmps-key=k"}, rtmpsConfig{":443", "c", "k"}, nil},
		"only the address":    {[]string{"--rtmps=:443"}, rtmpsConfig{}, cmdline.ErrUsage},
		"only the files":      {[]string{"--rtmps-cert=c", "--rtmps-key=k"}, rtmpsConfig{}, cmdline.ErrUsage},
		"all without the key": {[]string{"--rtmps=:443", "--rtmps-cert=c"}, rtmpsConfig{}, cmdline.ErrUsage},
	}
	for name, test := range tests {
		with(t, test.args, func(c *cli.Context) {
			if got, err := rtmpsFrom(c); got != test.want || !errors.Is(err, test.err) {
				t.Errorf("%s: got %+v, %v", name, got, err)
			}
		})
	}
}

// pemFiles writes a certificate for 127.0.0.1 and its key, and returns the configuration of a
// client that trusts it.
func pemFiles(t *testing.T) (certFile, keyFile string, config *tls.Config) {
	t.Helper()
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	key, err := x509.MarshalPKCS8PrivateKey(certified.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	return write("cert.pem", "CERTIFICATE", certified.Certificate().Raw), write("key.pem", "PRIVATE KEY", key), &tls.Config{RootCAs: roots}
}

// The first node of natscast dev takes RTMPS.
func TestDevRTMPS(t *testing.T) {
	t.Parallel()
	cert, key, config := pemFiles(t)
	r := startDev(t, "--rtmps", "127.0.0.1:0", "--rtmps-cert", cert, "--rtmps-key", key)
	if len(r.Nodes) != 2 || r.Nodes[0].RTMPS == "" || r.Nodes[1].RTMPS != "" {
		t.Fatalf("got %+v", r)
	}
	c, err := client.DialTLS(t.Context(), "rtmps://"+r.Nodes[0].RTMPS+"/"+demoStream, config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Play(t.Context(), -1); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := c.Read(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRTMPSWithoutCertificate(t *testing.T) {
	t.Parallel()
	_, err := run(t.Context(), "dev", "--rtmp", "127.0.0.1:0", "--nats-port", "0", "--data", t.TempDir(),
		"--rtmps", "127.0.0.1:0", "--rtmps-cert", "/nonexistent", "--rtmps-key", "/nonexistent")
	if err == nil || !strings.Contains(err.Error(), "/nonexistent") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
}
