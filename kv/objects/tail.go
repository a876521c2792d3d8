package objects

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"natscast/kv/objects/replica"
)

// take handles a message of the tail.
func (o *Object) take(m *nats.Msg) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
	case !o.opened:
		o.early = append(o.early, m)
	default:
		o.handle(m)
	}
}

func (o *Object) handle(m *nats.Msg) {
	if strings.HasSuffix(m.Subject, "."+sendToken) {
		o.called(m)
		return
	}
	c := o.objects.change(m)
	if c.Revision == 0 {
		return
	}
	o.gap = o.objects.gaps.hear(c.Revision, time.Now())
	o.replica.Hear(c, o.now(o.gap))
}

// now is when something is heard, behind an idle gap.
func (o *Object) now(gap *idleGap) replica.Heard {
	reconnects := o.objects.js.Conn().Stats().Reconnects
	return replica.Heard{Gap: gap.id(), Connection: reconnects, At: time.Now()}
}

func (o *Object) called(m *nats.Msg) {
	var c Call
	if err := json.Unmarshal(m.Data, &c); err != nil || c.Method == "" {
		o.objects.log.Debug("a call that is none", "object", o.name, "err", err)
		return
	}
	after, _ := strconv.ParseUint(m.Header.Get(afterHeader), 10, 64)
	o.replica.Call(c, after)
}
