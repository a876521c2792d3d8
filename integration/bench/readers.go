//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"natscast/internal/testpattern"
)

// Readers at the edge of their buffers read all the time, some a little faster than the stream
// comes, some as fast or a little slower. So their sockets are full very often, and a server that
// misses once that a socket takes bytes again shows a stall.
const (
	readersBuffer  = 32 << 10
	readersAway    = 2 * time.Millisecond // at most, between two reads
	readersBitrate = 30_000_000
	stalled        = 3 * time.Second
)

// readerRows are the doors that are read through.
var readerRows = []struct {
	row
	http bool
}{
	{row: row{baseline, "nginx-rtmp, RTMP", startNginx}},
	{row: row{limitRow, "bare loop", startLimit}},
	{row: row{"natscast", "natscast, RTMP", startDev()}},
	{row: row{"natscast", "natscast, HTTP-FLV", startDev("--http", "127.0.0.1:0")}, http: true},
}

// sips are what the readers read at once: some 4 MB/s, as fast as the stream comes, or far more.
var sips = []int{8 << 10, 32 << 10, 9 << 10, 32 << 10, 10 << 10, 32 << 10}

// reader is a client that reads bytes and understands none of them.
type reader struct {
	conn  net.Conn
	sip   int // the most that it reads at once
	bytes int64
	worst time.Duration // the longest time in which nothing came
	err   error         // why it ended early
}

// readers is what one row measures.
type readers struct {
	delivered float64 // of what was published meanwhile
	stalls    int
	worst     time.Duration
	closed    int
	err       error // of the first that was closed
}

func reportReaders(ctx context.Context, out io.Writer, w *workshop, o options) error {
	fmt.Fprintf(
		out,
		"One stream of %d Mbit/s to readers with a receive buffer of %d KB that are never away for long:\n\n",
		readersBitrate/1_000_000,
		readersBuffer>>10,
	)
	t := newTable("server", "readers", "stalls over 3 s", "worst pause ms", "closed", "delivered")
	var notes []string
	for _, r := range readerRows {
		for _, n := range []int{20, 200} {
			s, err := runReaders(ctx, w, r.row, r.http, n, o)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				notes = append(notes, fmt.Sprintf("%s: failed: %v", r.label, err))
				continue
			}
			t.add(
				r.label,
				fmt.Sprint(n),
				fmt.Sprint(s.stalls),
				fmt.Sprintf("%.0f", s.worst.Seconds()*1000),
				fmt.Sprint(s.closed),
				fmt.Sprintf("%.1f %%", s.delivered*100),
			)
			if s.err != nil {
				notes = append(
					notes,
					fmt.Sprintf("%s: the first that was closed: %v", r.label, s.err),
				)
			}
		}
	}
	return t.write(out, o.markdown, notes)
}

// runReaders starts a server, publishes one stream to it and has n readers read that.
func runReaders(
	ctx context.Context,
	w *workshop,
	r row,
	http bool,
	n int,
	o options,
) (result readers, err error) {
	s, err := r.start(ctx, w)
	if err != nil {
		return result, err
	}
	defer func() { err = s.end(err) }()
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()

	const stream = "readers"
	conn, err := dial(ctx, s.address, s.bare)
	if err != nil {
		return result, err
	}
	defer conn.Close()
	write := feed(conn)
	if !s.bare {
		if err := conn.publish(stream); err != nil {
			return result, err
		}
		write = writeEach(conn)
	}
	p, err := newPublisher(
		testpattern.Config{FPS: fanoutFPS, Bitrate: readersBitrate - audioBitrate},
		write,
	)
	if err != nil {
		return result, err
	}
	running.Go(func() { p.run(ctx) })
	sleepUntil(ctx, time.Now().Add(o.settle))

	all := make([]*reader, n)
	for i := range all {
		if all[i], err = newReader(ctx, s, stream, http); err != nil {
			closeReaders(all[:i])
			return result, err
		}
		all[i].sip = sips[i%len(sips)]
	}
	end := time.Now().Add(o.duration)
	var reading sync.WaitGroup
	for _, r := range all {
		reading.Go(func() { r.read(end) })
	}
	reading.Wait()
	closeReaders(all)
	return tallyReaders(all, o.duration), nil
}

func closeReaders(all []*reader) {
	for _, r := range all {
		r.conn.Close()
	}
}

func tallyReaders(all []*reader, length time.Duration) (result readers) {
	for _, r := range all {
		result.delivered += float64(
			r.bytes,
		) * 8 / readersBitrate / length.Seconds() / float64(
			len(all),
		)
		result.worst = max(result.worst, r.worst)
		if r.worst > stalled {
			result.stalls++
		}
		if r.err != nil {
			result.closed++
			result.err = r.err
		}
	}
	return result
}

// newReader connects and asks to play.
func newReader(ctx context.Context, s *server, stream string, overHTTP bool) (*reader, error) {
	dialer := net.Dialer{
		Timeout: dialogTimeout,
		Control: func(_, _ string, raw syscall.RawConn) (err error) {
			controlErr := raw.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(
					int(fd),
					syscall.SOL_SOCKET,
					syscall.SO_RCVBUF,
					readersBuffer,
				)
			})
			if err != nil {
				return err
			}
			return controlErr
		},
	}
	if !overHTTP {
		c, err := dialWith(ctx, dialer, s.address, s.bare)
		if err != nil {
			return nil, err
		}
		if !s.bare {
			err = c.play(stream)
		}
		return &reader{conn: c.TCPConn}, err
	}
	conn, err := dialer.DialContext(ctx, "tcp", s.http)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(
		ctx,
		http.MethodGet,
		"http://"+s.http+"/"+app+"/"+stream+".flv",
		http.NoBody,
	)
	if err != nil {
		return nil, err
	}
	return &reader{conn: conn}, request.Write(conn)
}

// read reads until the end.
func (r *reader) read(end time.Time) {
	b := make([]byte, r.sip)
	last := time.Now()
	r.conn.SetDeadline(end)
	for {
		n, err := r.conn.Read(b)
		now := time.Now()
		r.bytes += int64(n)
		r.worst = max(r.worst, now.Sub(last))
		last = now
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			r.err = err
			return
		}
		time.Sleep(rand.N(readersAway))
	}
}
