package webobjects_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"natscast/edge/objects/webobjects"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	examples := webobjects.Examples()
	for path, want := range map[string]struct {
		contentType, text string
	}{
		"":                    {"text/html", "chat.html?stream="},
		"ball.html":           {"text/html", "natscast-objects.js"},
		"chat.html":           {"text/html", "natscast-objects.js"},
		"style.css":           {"text/css", "body"},
		"natscast-objects.js": {"text/javascript", "export class SharedObject"},
		"mpegts.js":           {"text/javascript", "mpegts"},
	} {
		w := httptest.NewRecorder()
		examples.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, webobjects.ExamplesPath+path, nil))
		if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || !strings.HasPrefix(got, want.contentType) || !strings.Contains(w.Body.String(), want.text) {
			t.Errorf("%q: %d %s", path, w.Code, got)
		}
	}
}
