// Package term writes to people, and to programs that read what commands print: tables or
// JSON, a screen that is drawn in place, a status line, and values as people read them.
//
// It knows nothing of natscast. What comes from clients cannot control the terminal: see
// [Printable].
package term
