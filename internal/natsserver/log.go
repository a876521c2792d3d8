package natsserver

import (
	"fmt"
	"log/slog"
	"sync"
)

// serverLog passes on to slog what the embedded server says. What is fatal to the
// server does not end the process: the start fails instead.
type serverLog struct {
	log *slog.Logger

	mu    sync.Mutex
	cause string // guarded by mu
}

func (l *serverLog) Noticef(format string, v ...any) { l.log.Debug(serverSays(format, v)) }
func (l *serverLog) Warnf(format string, v ...any)   { l.log.Warn(serverSays(format, v)) }
func (l *serverLog) Errorf(format string, v ...any)  { l.log.Error(serverSays(format, v)) }
func (l *serverLog) Debugf(string, ...any)           {}
func (l *serverLog) Tracef(string, ...any)           {}

func (l *serverLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cause = fmt.Sprintf(format, v...)
}

func (l *serverLog) fatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

func serverSays(format string, v []any) string {
	return "nats server: " + fmt.Sprintf(format, v...)
}
