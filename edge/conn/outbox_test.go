package conn

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"natscast/internal/eventually"
	"natscast/internal/reason"
	"natscast/internal/testcert"
)

// door is a way to an outbox.
type door struct {
	name   string
	listen func(testing.TB, net.Listener) net.Listener
	secure func(net.Conn) net.Conn
}

func doors(t testing.TB) []door {
	t.Helper()
	pair := testcert.New(t, 1)
	return []door{
		{"TCP", func(_ testing.TB, ln net.Listener) net.Listener { return ln },
			func(c net.Conn) net.Conn { return c }},
		{"TLS", func(t testing.TB, ln net.Listener) net.Listener {
			secure, err := NewTLSListener(ln, pair.CertFile, pair.KeyFile, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			return secure
		}, func(c net.Conn) net.Conn { return tls.Client(c, pair.Trust(t)) }},
	}
}

// connect returns an outbox and its client. The client's receive buffer, and without TLS the
// outbox's send buffer, have so many bytes; 0 means what the system gives.
func (d door) connect(t testing.TB, buffer int) (*Outbox, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		if buffer == 0 {
			return nil
		}
		return raw.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, buffer)
		})
	}}
	dialed, dialErr := dialer.Dial("tcp", ln.Addr().String())
	if err := errors.Join(dialErr, err); err != nil {
		t.Fatal(err)
	}
	client := d.secure(dialed)
	t.Cleanup(func() { client.Close() })
	c, err := d.listen(t, ln).Accept()
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := c.(*net.TCPConn); ok && buffer > 0 {
		if err := c.SetWriteBuffer(buffer); err != nil {
			t.Fatal(err)
		}
	}
	if c, ok := c.(*tls.Conn); ok {
		ended := make(chan error, 1)
		go func() { ended <- c.Handshake() }()
		if err := errors.Join(client.(*tls.Conn).Handshake(), <-ended); err != nil {
			t.Fatal(err)
		}
	}
	o, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close(net.ErrClosed) })
	return o, client
}

// film has so many bytes, each the low byte of its offset, in pieces of 1000.
type film struct{ next, size int }

var reel = func() []byte {
	b := make([]byte, 256+1000)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}()

func (f *film) Next(dst [][]byte, limit int) ([][]byte, bool) {
	for ; limit > 0 && f.next < f.size; limit -= 1000 {
		from := f.next % 256
		dst = append(dst, reel[from:from+min(1000, f.size-f.next)])
		f.next += 1000
	}
	return dst, f.next >= f.size
}

// check reads a film of so many bytes.
func check(t testing.TB, from io.Reader, size int) error {
	t.Helper()
	b := make([]byte, 64<<10)
	for at := 0; at < size; {
		n, err := from.Read(b)
		for i, c := range b[:n] {
			if c != byte((at+i)/1000*1000%256+(at+i)%1000) {
				t.Fatalf("byte %d is %d", at+i, c)
			}
		}
		if at += n; err != nil && at < size {
			return err
		}
	}
	return nil
}

// Clients that read all the time, through small buffers, fill their sockets thousands of times.
// A lost event of the poller would close them as stuck.
func TestFullSockets(t *testing.T) {
	t.Parallel()
	const clients, size = 10, 24 << 20
	for _, d := range doors(t) {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			var reading sync.WaitGroup
			for range clients {
				o, client := d.connect(t, 32<<10)
				reading.Go(func() {
					if err := check(t, client, size); err != nil {
						t.Errorf("%v; the outbox: %v", err, o.Close(nil))
					}
				})
				o.Add(&film{size: size}, nil)
			}
			reading.Wait()
		})
	}
}

// A socket that has become writable before the wait begins has no event to come.
func TestWritableBefore(t *testing.T) {
	t.Parallel()
	o, _ := doors(t)[0].connect(t, 0)
	for range 3 { // the first time, the poller may not have told of the new socket yet
		if err := awaitWritable(o.conn, o.raw); err != nil {
			t.Fatal(err)
		}
	}
}

// What several sources have goes out in their order, control messages first.
func TestOrder(t *testing.T) {
	t.Parallel()
	for _, d := range doors(t) {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			o, client := d.connect(t, 0)
			o.With(func() {
				o.Queue([]byte("a"))
				o.Queue([]byte("b"))
			})
			o.Add(&film{size: 3}, []byte("c"))
			got := make([]byte, 6)
			if _, err := io.ReadFull(client, got); err != nil || string(got) != "abc\x00\x01\x02" {
				t.Errorf("%q, %v", got, err)
			}
			if _, err := client.Read(got); !errors.Is(err, io.EOF) {
				t.Errorf("after the only source was over: %v", err)
			}
		})
	}
}

// A client that asks and does not read is closed; one that is offered something is not.
func TestFlood(t *testing.T) {
	t.Parallel()
	for _, d := range doors(t) {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			o, client := d.connect(t, 32<<10)
			message := make([]byte, 16<<10)
			eventually.True(t, "an offer that is refused", func() bool { return !o.Offer(message) })
			for range 10_000 {
				o.Send(message)
			}
			if _, err := io.Copy(io.Discard, client); err == nil && d.name == "TCP" {
				t.Log("the client has read all that its kernel had")
			}
			if err := o.Close(nil); !errors.Is(err, reason.Flooding) {
				t.Error(err)
			}
		})
	}
}

// A slow client that reads all the time is not stuck, even if its socket is not writable again
// for longer than stuckTimeout; one that reads nothing is.
func TestProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, client := doors(t)[0].connect(t, 0)
		fill(o)
		const rounds = 3 // in which the client reads
		waits := 0
		err := progressing(o.raw, func(until time.Time) (int, error) {
			waits++
			for before := queued(o.raw); waits <= rounds && queued(o.raw) >= before; {
				if _, err := io.CopyN(io.Discard, client, 1<<10); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Until(until))
			return 0, os.ErrDeadlineExceeded
		})
		if !errors.Is(err, os.ErrDeadlineExceeded) || waits != rounds+4 {
			t.Errorf("%v after %d waits, want %d", err, waits, rounds+4)
		}
	})
}

// fill sends until the socket is full.
func fill(o *Outbox) {
	for piece := [][]byte{make([]byte, 1<<10)}; ; {
		if _, errno := offer(o.fd, piece); errno == syscall.EAGAIN {
			return
		}
	}
}

// BenchmarkOutbox sends 12 KB, and receives them.
func BenchmarkOutbox(b *testing.B) {
	for _, d := range doors(b) {
		b.Run(d.name, func(b *testing.B) {
			o, client := d.connect(b, 0)
			f := &film{}
			o.Add(again{f}, nil)
			received := make([]byte, 12<<10)
			more := func() { f.next, f.size = 0, len(received) }
			b.ReportAllocs()
			b.SetBytes(int64(len(received)))
			for b.Loop() {
				o.With(more)
				if _, err := io.ReadFull(client, received); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// again is a film that may go on after its end.
type again struct{ *film }

func (a again) Next(dst [][]byte, limit int) ([][]byte, bool) {
	dst, _ = a.film.Next(dst, limit)
	return dst, false
}
