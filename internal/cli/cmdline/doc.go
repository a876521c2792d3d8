// Package cmdline holds the rules that all commands share: usage errors and the exit
// status that they lead to, arguments, the variable of each flag, and loggers.
//
// It is the lowest room of internal/cli: it knows no command, no node and no NATS.
package cmdline
