package bus

import (
	"fmt"
	"log/slog"
	"sync"
)

// serverLog passes what the embedded server says on to slog, and keeps the last
// error for the one who waits for its start.
type serverLog struct {
	mu  sync.Mutex
	err string
}

func (l *serverLog) Noticef(format string, v ...any) { l.log(slog.Debug, format, v) }
func (l *serverLog) Warnf(format string, v ...any)   { l.log(slog.Warn, format, v) }
func (l *serverLog) Debugf(string, ...any)           {}
func (l *serverLog) Tracef(string, ...any)           {}

func (l *serverLog) Errorf(format string, v ...any) {
	l.keep(fmt.Sprintf(format, v...))
	l.log(slog.Error, format, v)
}

// Fatalf does not end the process: the start fails instead.
func (l *serverLog) Fatalf(format string, v ...any) { l.Errorf(format, v...) }

func (l *serverLog) log(to func(string, ...any), format string, v []any) {
	to("nats server: " + fmt.Sprintf(format, v...))
}

func (l *serverLog) keep(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = s
}

func (l *serverLog) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
