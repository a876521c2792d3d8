package library

import "sync/atomic"

// Stats tell what a library has.
type Stats struct {
	Files   int64  `json:"files"`   // that could be static streams
	Offered int64  `json:"offered"` // those that are
	Old     int64  `json:"old"`     // versions of files that are gone and may still be read
	Reads   uint64 `json:"reads"`   // segments
	Errors  uint64 `json:"errors"`  // segments that could not be read
}

type counts struct {
	files, offered, old atomic.Int64
	reads, errors       atomic.Uint64
}
