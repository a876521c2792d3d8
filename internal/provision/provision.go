// Package provision makes what nodes need in JetStream, while the servers may still be starting and
// other nodes make the same.
package provision

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	timeout = 20 * time.Second
	pause   = 100 * time.Millisecond
	// An answer gets lost while the servers elect a leader, and when several nodes create the same
	// replicated stream at once: JetStream answers one of them. So the first tries are short;
	// asking again is answered within milliseconds then.
	firstTry = 250 * time.Millisecond
	lastTry  = 2 * time.Second
)

// Try calls make until it succeeds, each time with a context of its own, or until its error is one
// that another try cannot mend: that of a refused configuration, or of a closed connection. It
// gives up after 20 seconds.
func Try(ctx context.Context, make func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for patience := firstTry; ; patience = min(2*patience, lastTry) {
		err := tryOnce(ctx, patience, make)
		if err == nil || permanent(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, ctx.Err())
		case <-time.After(pause):
		}
	}
}

func tryOnce(ctx context.Context, patience time.Duration, make func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return make(ctx)
}

// permanent says that another try cannot succeed. Everything else may be a race
// with another node, or a cluster that is still electing its leader.
func permanent(err error) bool {
	const (
		memoryExceeded      = 10028
		notEnabled          = 10039
		storageExceeded     = 10047
		invalidConfig       = 10052
		replicasNeedCluster = 10074
	)
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return errors.Is(err, nats.ErrConnectionClosed)
	}
	switch api.ErrorCode {
	case memoryExceeded, notEnabled, storageExceeded, invalidConfig, replicasNeedCluster:
		return true
	}
	return false
}
