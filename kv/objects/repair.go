package objects

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"natscast/kv/objects/replica"
)

func (o *Object) isMissing() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.replica.Missing() > 0
}

// isComplete says whether nothing is missing. The next change tells what was lost before it; so the
// store is asked when there is none. Without an answer, nothing is missing.
func (o *Object) isComplete(ctx context.Context) bool {
	o.mu.Lock()
	heard, known := o.replica.TakeHeard()
	o.mu.Unlock()
	o.ticks++
	if heard || o.checked && o.ticks%quietTicks != 0 {
		o.checked = o.checked && !heard
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, gapTimeout)
	defer cancel()
	begun := time.Now()
	_, newest, err := o.objects.bucket.Latest(ctx, o.name.Subject()+".*")
	if err != nil {
		return true
	}
	o.checked = true
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.replica.Verify(newest, known, begun)
}

// catchUp asks for what was stored since all was known last, after miss. While it is not told,
// missing stays what it is.
func (o *Object) catchUp(ctx context.Context) {
	if !o.objects.js.Conn().IsConnected() {
		return
	}
	select {
	case o.objects.asking <- struct{}{}:
		defer func() { <-o.objects.asking }()
	case <-ctx.Done():
		return
	}
	ctx, cancel := context.WithTimeout(ctx, gapTimeout)
	defer cancel()
	if o.trust(ctx) {
		return
	}
	o.mu.Lock()
	verified := o.replica.Verified()
	o.mu.Unlock()
	if time.Since(verified) > forgetful {
		o.reload(ctx)
		return
	}
	for !o.ask(ctx) {
		select {
		case <-ctx.Done():
			return // pursue follows
		case <-time.After(lagWait):
		}
	}
}

// ask reports whether it was told all: a replica of the bucket may answer that lags.
func (o *Object) ask(ctx context.Context) bool {
	begun := time.Now()
	found, newest, err := o.find(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	return err == nil && o.replica.Found(found, newest, begun)
}

// find reads what was stored since all was known, up to what is missing, or beyond. Most often that
// is what has made it miss something, and no more.
func (o *Object) find(ctx context.Context) (found []replica.Change, newest uint64, err error) {
	o.mu.Lock()
	known, missing := o.replica.Head(), o.replica.Missing()
	o.mu.Unlock()
	bucket, filter := o.objects.bucket, o.objects.filter(o.name)
	newest = known
	for range findSingly {
		m, revision, err := bucket.Next(ctx, filter, newest+1)
		if err != nil || m == nil {
			return found, newest, err
		}
		if found, newest = append(found, o.objects.change(m)), revision; newest >= missing {
			return found, newest, nil
		}
	}
	err = bucket.Below(ctx, filter, newest+1, func(m *nats.Msg, revision uint64) {
		found, newest = append(found, o.objects.change(m)), revision
	})
	return found, newest, err
}

// trust reports whether the tail can be trusted after all: nothing of the object was stored in the
// idle gap that was the reason to suspect it.
func (o *Object) trust(ctx context.Context) bool {
	o.mu.Lock()
	gap := o.gap
	suspected := gap != nil && o.replica.Suspected() == gap.number
	o.mu.Unlock()
	if !suspected || !o.objects.wasQuiet(ctx, gap, o.name) {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.replica.Trust(gap.number, time.Now())
}

// work has something looked after that the replica misses, or waits for.
func (o *Object) work(atOnce bool) {
	if atOnce {
		o.watched = false
	}
	o.watch()
}

// watch has run pursue what is under way.
func (o *Object) watch() {
	if o.watched {
		return
	}
	o.watched = true
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// reload reads the object anew: it was out of sight for too long.
func (o *Object) reload(ctx context.Context) {
	begun := time.Now()
	state, err := o.read(ctx)
	if err != nil {
		o.objects.log.Debug("trying again", "object", o.name, "err", err)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.replica.Reload(state, begun)
}
