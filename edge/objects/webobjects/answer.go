package webobjects

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"natscast/edge/objects"
	"natscast/internal/media"
	shared "natscast/kv/objects"
)

// errPrecondition says that an attribute has not the revision that a request wants.
var errPrecondition = errors.New("the attribute has another revision")

// statusError is an error and the status that tells it.
type statusError struct {
	status int
	error
}

func failure(status int, format string, args ...any) error {
	return &statusError{status, fmt.Errorf(format, args...)}
}

func statusOf(err error) int {
	var known *statusError
	if errors.As(err, &known) {
		return known.status
	}
	for _, known := range []struct {
		error
		status int
	}{
		{media.ErrName, http.StatusBadRequest}, {errMalformed, http.StatusBadRequest},
		{objects.ErrNoRead, http.StatusForbidden}, {objects.ErrNoCreate, http.StatusForbidden}, {objects.ErrNoWrite, http.StatusForbidden},
		{shared.ErrNoObject, http.StatusNotFound},
		{objects.ErrPersistence, http.StatusConflict}, {shared.ErrConflict, http.StatusConflict},
		{errPrecondition, http.StatusPreconditionFailed},
		{shared.ErrLimit, http.StatusRequestEntityTooLarge},
	} {
		if errors.Is(err, known.error) {
			return known.status
		}
	}
	return http.StatusServiceUnavailable
}

// fail answers with an error.
func fail(rw http.ResponseWriter, err error) {
	status := statusOf(err)
	if status == http.StatusServiceUnavailable {
		rw.Header().Set("Retry-After", "1")
	}
	respond(rw, status, struct {
		Error string `json:"error"`
	}{err.Error()})
}

// respond answers with JSON.
func respond(rw http.ResponseWriter, status int, body any) {
	data := encode(body)
	rw.Header().Set("Content-Type", "application/json; charset=utf-8")
	rw.Header().Set("Content-Length", strconv.Itoa(len(data)+1))
	rw.WriteHeader(status)
	_, _ = rw.Write(append(data, '\n')) // the client may have gone
}
