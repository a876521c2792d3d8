package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/handshake"
	"natscast/internal/rtmp/message"
)

// scriptTLS is script with TLS; config is that of a client that trusts the server.
func scriptTLS(t *testing.T, serve func(*peer)) (url string, config *tls.Config) {
	t.Helper()
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	t.Cleanup(certified.Close)
	url = listen(t, func(socket net.Conn) {
		conn := tls.Server(socket, &tls.Config{Certificates: certified.TLS.Certificates})
		defer conn.Close()
		if err := handshake.Server(conn); err != nil {
			return // the client does not trust it, or has had enough
		}
		serve(&peer{t, conn, chunk.NewReader(conn, chunk.DefaultLimits())})
	})
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	return strings.Replace(url, "rtmp://", "rtmps://", 1), &tls.Config{RootCAs: roots}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	t.Run("play", func(t *testing.T) {
		t.Parallel()
		url, config := scriptTLS(t, func(p *peer) {
			p.acceptPlay()
			for _, f := range frames {
				p.write(message.Media(f, 1))
			}
			p.untilClosed()
		})
		c, err := DialTLS(t.Context(), url, config)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Play(t.Context(), -1); err != nil {
			t.Fatal(err)
		}
		for i, want := range frames {
			if got, err := c.Read(); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("frame %d: got %.80v, %v, want %.80v", i, got, err, want)
			}
		}
	})
	t.Run("publish", func(t *testing.T) {
		t.Parallel()
		got := make(chan []chunk.Message, 1)
		url, config := scriptTLS(t, func(p *peer) {
			p.acceptPublish()
			got <- p.untilClosed()
		})
		c, err := DialTLS(t.Context(), url, config)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, f := range frames {
			if err := c.Write(f); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if n := len(<-got); n != len(frames)+1 {
			t.Errorf("the server got %d messages, want %d and deleteStream", n, len(frames))
		}
	})
	t.Run("a server that is not trusted", func(t *testing.T) {
		t.Parallel()
		url, _ := scriptTLS(t, func(*peer) { t.Error("it was trusted") })
		_, err := Dial(t.Context(), url)
		if unknown := (x509.UnknownAuthorityError{}); !errors.As(err, &unknown) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a server that does not speak TLS", func(t *testing.T) {
		t.Parallel()
		url := listen(t, func(socket net.Conn) {
			io.ReadFull(socket, make([]byte, 1)) // with data unread, closing would reset
			socket.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			io.Copy(io.Discard, socket)
		})
		_, err := Dial(t.Context(), strings.Replace(url, "rtmp://", "rtmps://", 1))
		if notTLS := (tls.RecordHeaderError{}); !errors.As(err, &notTLS) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		url := listen(t, func(socket net.Conn) {
			io.ReadFull(socket, make([]byte, 1))
			cancel(enough)
			io.Copy(io.Discard, socket)
		})
		if _, err := Dial(ctx, strings.Replace(url, "rtmp://", "rtmps://", 1)); !errors.Is(err, enough) {
			t.Errorf("error %v, want %v", err, enough)
		}
	})
}
