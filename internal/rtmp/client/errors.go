package client

import (
	"cmp"
	"io"

	"natscast/internal/amf"
	"natscast/internal/rtmp/message"
)

// StatusError is a server's refusal: an _error, or an onStatus of level error.
type StatusError struct {
	Code        string // such as NetStream.Play.StreamNotFound
	Description string
	// Redirect is the URL that the server sends the client to, or empty.
	Redirect string
}

func (e *StatusError) Error() string {
	if e.Description == "" {
		return e.Code
	}
	return e.Code + ": " + e.Description
}

// newStatusError reads the information object of a refusal. The redirect to an app
// is ex.redirect; some servers tell the URL of the stream in ex.redirect2.
func newStatusError(info amf.Value) *StatusError {
	fields := amf.Fields(info)
	ex, _ := fields.Get("ex")
	return &StatusError{
		Code:        cmp.Or(fields.String("code"), "error without a code"),
		Description: fields.String("description"),
		Redirect:    cmp.Or(amf.Fields(ex).String("redirect2"), amf.Fields(ex).String("redirect")),
	}
}

// EndError is the orderly end of a stream. It is an io.EOF to errors.Is.
type EndError struct {
	Reason string // a status code such as NetStream.Play.Stop, or "StreamEOF"
}

func (e *EndError) Error() string { return "end of stream: " + e.Reason }

func (e *EndError) Unwrap() error { return io.EOF }

// status returns the code of an onStatus, or the refusal that it is. Other
// commands have no code.
func status(c message.Command) (code string, err error) {
	if c.Name != "onStatus" {
		return "", nil
	}
	fields := amf.Fields(c.Arg(1))
	if fields.String("level") == message.LevelError {
		return "", newStatusError(c.Arg(1))
	}
	return fields.String("code"), nil
}
