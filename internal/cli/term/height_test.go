package term

import (
	"bytes"
	"io"
	"os"
	"testing"
)

func TestHeightOfNoTerminal(t *testing.T) {
	t.Parallel()
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for what, w := range map[string]io.Writer{"a file": file, "a buffer": new(bytes.Buffer)} {
		if lines, ok := Height(w); ok {
			t.Errorf("%s is taken for a terminal of %d lines", what, lines)
		}
	}
}
