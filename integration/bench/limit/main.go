//go:build linux

// Command limit is what no media server can be cheaper than that writes once per
// player and block: it knows no protocol, and writes each block that the first client, the
// feed, sends (its length in 4 bytes, then the bytes) to all later clients.
//
//	limit FILE     FILE gets the address as JSON
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: limit FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "limit:", err)
		os.Exit(1)
	}
}

func run(readyFile string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := os.WriteFile(readyFile, fmt.Appendf(nil, "%q", ln.Addr()), 0o600); err != nil {
		return err
	}
	feed, err := ln.Accept()
	if err != nil {
		return err
	}
	var p players
	go p.accept(ln)
	in := bufio.NewReader(feed)
	var block []byte
	for {
		var size [4]byte
		if _, err := io.ReadFull(in, size[:]); err != nil {
			return err
		}
		n := int(binary.BigEndian.Uint32(size[:]))
		if n > cap(block) {
			block = make([]byte, n)
		}
		block = block[:n]
		if _, err := io.ReadFull(in, block); err != nil {
			return err
		}
		p.send(block)
	}
}

type players struct {
	mu      sync.Mutex
	sockets []int
}

// accept adds the clients. Their sockets are blocking ones, unknown to the runtime's poller.
func (p *players) accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		raw, err := conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			return
		}
		raw.Control(func(fd uintptr) {
			socket, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
			if err != nil || unix.SetNonblock(socket, false) != nil {
				return
			}
			p.mu.Lock()
			p.sockets = append(p.sockets, socket)
			p.mu.Unlock()
		})
		conn.Close()
	}
}

func (p *players) send(block []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	base, size := uintptr(unsafe.Pointer(&block[0])), uintptr(len(block))
	for _, s := range p.sockets {
		// A player that has gone is of no interest: the run is over.
		syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(s), base, size, unix.MSG_NOSIGNAL, 0, 0)
	}
}
