// Package console writes to people: a status that renews itself in place on a terminal,
// and comes as a line now and then elsewhere.
package console
