package manage

import (
	"context"
	"errors"
	"strings"
	"testing"

	"natscast/internal/cli/clitest"
	"natscast/internal/nodeapi"
)

func TestKick(t *testing.T) {
	t.Parallel()
	tc := clitest.StartCluster(t)
	a := tc.Join(t, clitest.EdgeNode("a"))
	tc.Serve(t, a, map[string]nodeapi.Answer{"kick": func(_ context.Context, id []byte) ([]byte, error) {
		if string(id) != "a.7" {
			return nil, errors.New("there is no such connection")
		}
		return nil, nil
	}})
	if stdout, stderr := tc.Run(t, all, "kick", "a.7"); stdout != "a.7 is closed\n" || stderr != "" {
		t.Errorf("%q, %q", stdout, stderr)
	}
	for id, says := range map[string]string{
		"a.8": "node a: there is no such connection", "b.7": "'natscast nodes'",
	} {
		stdout, _, err := tc.Try(t, all, "kick", id)
		if err == nil || !strings.Contains(err.Error(), says) || stdout != "" {
			t.Errorf("%s: %v, %q", id, err, stdout)
		}
	}
}
