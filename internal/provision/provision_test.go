package provision

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestTry(t *testing.T) {
	t.Parallel()
	electing := &jetstream.APIError{ErrorCode: 10008}
	refused := &jetstream.APIError{ErrorCode: 10052}
	lost := errors.New("no answer")
	tests := []struct {
		name    string
		answers []error // lost: none comes; the last one again and again
		want    error
		tries   int
		took    time.Duration
	}{
		{"at once", []error{nil}, nil, 1, 0},
		{"one answer lost", []error{lost, nil}, nil, 2, firstTry + pause},
		{"answers lost", []error{lost, lost, lost, lost, lost, nil}, nil, 6, (1+2+4+8+8)*firstTry + 5*pause},
		{"an election", []error{electing, electing, nil}, nil, 3, 2 * pause},
		{"refused", []error{refused}, refused, 1, 0},
		{"refused in the end", []error{lost, refused}, refused, 2, firstTry + pause},
		{"closed", []error{nats.ErrConnectionClosed}, nats.ErrConnectionClosed, 1, 0},
		{"never", []error{lost}, context.DeadlineExceeded, 12, timeout},
		{"no leader", []error{lost, electing}, electing, 198, timeout},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begun, tries := time.Now(), 0
				err := Try(t.Context(), func(ctx context.Context) error {
					answer := test.answers[min(tries, len(test.answers)-1)]
					tries++
					if answer == lost {
						<-ctx.Done()
						return ctx.Err()
					}
					return answer
				})
				if took := time.Since(begun); !errors.Is(err, test.want) || tries != test.tries || took != test.took {
					t.Errorf("%v after %d tries and %v, want %v after %d and %v", err, tries, took, test.want, test.tries, test.took)
				}
			})
		})
	}
}

// Who does not want it any more waits no longer.
func TestTryEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	err := Try(ctx, func(context.Context) error {
		cancel()
		return nats.ErrTimeout
	})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, nats.ErrTimeout) {
		t.Error(err)
	}
}
