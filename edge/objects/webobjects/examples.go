package webobjects

import (
	"embed"
	"io/fs"
	"net/http"
	"strings"
)

// ExamplesPath is where the JavaScript module for shared objects is, with pages that use it.
const ExamplesPath = "/examples/"

//go:embed pages
var pages embed.FS

// Examples returns a handler for the paths below [ExamplesPath].
func Examples() http.Handler {
	files, err := fs.Sub(pages, "pages")
	if err != nil {
		panic(err) // it is embedded
	}
	server := http.StripPrefix(strings.TrimSuffix(ExamplesPath, "/"), http.FileServerFS(files))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-cache")
		header.Set(
			"Access-Control-Allow-Origin",
			"*",
		) // modules are only run by pages of other origins with that
		server.ServeHTTP(w, r)
	})
}
