package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"natscast/internal/media"
	"natscast/internal/nodeapi"
	"natscast/kv"
)

// Failure is the body of an answer that is an error.
type Failure struct {
	Error string `json:"error"`
	// Explanation says why no node takes the player, where it was asked for.
	Explanation *Explanation `json:"explanation,omitempty"`
}

// statusError is an error and the status that tells it.
type statusError struct {
	status int
	error
}

func (e *statusError) Unwrap() error { return e.error }

func failure(status int, format string, args ...any) error {
	return &statusError{status, fmt.Errorf(format, args...)}
}

// statusOf takes what is not known better for NATS not answering.
func statusOf(err error) int {
	var known *statusError
	switch {
	case errors.As(err, &known):
		return known.status
	case errors.Is(err, media.ErrName):
		return http.StatusBadRequest
	case errors.Is(err, kv.ErrNotFound), errors.Is(err, nodeapi.ErrNoNode):
		return http.StatusNotFound
	case errors.Is(err, kv.ErrValue):
		return http.StatusInternalServerError
	}
	return http.StatusServiceUnavailable
}

// answer sets what is common to all answers, and answers errors.
func (a *api) answer(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Type", "application/json; charset=utf-8")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-store")
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			header.Set("Access-Control-Allow-Origin", "*")
		}
		if r.ContentLength > maxBody {
			a.fail(
				w,
				r,
				failure(http.StatusRequestEntityTooLarge, "a body of more than %d bytes", maxBody),
			)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if err := h(w, r); err != nil {
			a.fail(w, r, err)
		}
	})
}

func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := statusOf(err)
	if status >= http.StatusInternalServerError {
		a.log.Debug(
			"http: failed",
			"method",
			r.Method,
			"path",
			r.URL.Path,
			"status",
			status,
			"err",
			err,
		)
	}
	body := Failure{Error: err.Error()}
	var noNode *noNodeError
	if errors.As(err, &noNode) {
		body.Explanation = noNode.explanation
	}
	if err := respond(w, status, body); err != nil {
		a.log.Error("http: an error cannot be told", "err", err)
	}
}

// respond writes an answer as a whole. An error says that nothing was written.
func respond(w http.ResponseWriter, status int, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return failure(http.StatusInternalServerError, "encode the answer: %w", err)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(data)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // the client may have gone
	return nil
}

// reading bounds how long a handler reads the store, and how many do at once.
func (a *api) reading(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		select {
		case a.reads <- struct{}{}:
			defer func() { <-a.reads }()
		default:
			w.Header().Set("Retry-After", "1")
			return failure(http.StatusServiceUnavailable, "too many requests at once")
		}
		ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
		defer cancel()
		return h(w, r.WithContext(ctx))
	}
}
