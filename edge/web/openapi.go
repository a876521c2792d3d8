package web

import (
	_ "embed"
	"net/http"
	"strconv"
)

//go:embed openapi.json
var description []byte

// Description is that of the API, as OpenAPI 3.1, for tests of what it describes elsewhere.
func Description() []byte { return description }

// openAPI answers with the description of the API.
func openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Length", strconv.Itoa(len(description)))
	_, _ = w.Write(description) // the client may have gone
	return nil
}
