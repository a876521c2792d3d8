package objects

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natscast/internal/media"
	"natscast/kv/bucket"
)

// enterTries bounds how often an object's own entry is tried that other nodes change at the same
// time.
const enterTries = 50

func metaKey(name media.Name) string { return metaToken + "." + name.Subject() }

// enter makes this node one that uses the object, and tells whether the object is persistent. Those
// who are no nodes only look.
func (o *Object) enter(ctx context.Context) (persistent bool, err error) {
	for range enterTries {
		m, revision, err := o.objects.meta(ctx, o.name)
		if err != nil {
			return false, away(err)
		}
		known := m != nil
		if !known {
			if m, err = o.create(ctx); err != nil {
				return false, away(err)
			}
		}
		self := o.objects.self()
		if self == "" || known && (m.Persistent || slices.Contains(m.Nodes, self)) {
			return m.Persistent, nil
		}
		if !m.Persistent {
			m.Nodes = append(o.objects.living(m.Nodes), self)
		}
		if err := o.objects.putMeta(ctx, o.name, m, revision); err == nil {
			return m.Persistent, nil
		} else if !bucket.IsMismatch(err) {
			return false, away(err)
		}
	}
	return false, fmt.Errorf("%w: too many nodes enter %s", ErrAway, o.name)
}

// create decides what a new object is.
func (o *Object) create(ctx context.Context) (*meta, error) {
	if o.wants != AnyPersistence {
		return &meta{Persistent: o.wants == Persistent}, nil
	}
	value, _, err := o.objects.bucket.Latest(ctx, o.name.Subject()+".*")
	return &meta{Persistent: len(value) > 0}, err
}

// reenter does it as the node's new incarnation: for the others, the old one uses nothing any more.
func (o *Object) reenter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bucket.RequestTimeout)
	defer cancel()
	_, err := o.enter(ctx)
	return err
}

// leave ends this node's use of the object, and the object if it was the last one.
func (o *Object) leave() {
	o.mu.Lock()
	uses := o.opened && !o.stays && !o.replica.State().Persistent && o.objects.self() != ""
	o.mu.Unlock()
	if !uses {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	for range enterTries {
		m, revision, err := o.objects.meta(ctx, o.name)
		if err == nil && m != nil && !m.Persistent {
			m.Nodes = slices.DeleteFunc(
				o.objects.living(m.Nodes),
				func(n string) bool { return n == o.objects.self() },
			)
			if len(m.Nodes) > 0 {
				err = o.objects.putMeta(ctx, o.name, m, revision)
			} else {
				err = o.objects.remove(ctx, o.name, revision)
			}
		}
		if err == nil {
			return
		}
		if !bucket.IsMismatch(err) {
			// Whoever comes after this node will end it.
			o.objects.log.Debug("not left", "object", o.name, "err", err)
			return
		}
	}
}

// meta reads what is known of an object itself, nil for nothing, and the revision at which it can
// be changed.
func (o *Objects) meta(ctx context.Context, name media.Name) (*meta, uint64, error) {
	value, revision, err := o.metas.Latest(ctx, metaKey(name))
	if err != nil || len(value) == 0 {
		return nil, revision, err
	}
	m, err := decodeMeta(string(name), value, revision)
	return &m, revision, err
}

func (o *Objects) putMeta(ctx context.Context, name media.Name, m *meta, revision uint64) error {
	_, err := o.metas.Put(
		ctx,
		metaKey(name),
		m,
		jetstream.WithExpectLastSequencePerSubject(revision),
	)
	return err
}

// remove deletes an object whose own entry is at a revision. The attributes go with it.
func (o *Objects) remove(ctx context.Context, name media.Name, revision uint64) error {
	state, err := o.load(ctx, name)
	if err != nil {
		return err
	}
	own := nats.NewMsg(o.bucket.Subject(metaKey(name)))
	markRemoved(own)
	own.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(revision, 10))
	number := o.number()
	messages := append(
		[]*nats.Msg{own},
		o.messages(state, &Write{Clear: true}, number, state.Version+1)...)
	_, err = o.store(ctx, messages, strconv.FormatUint(number, 10), o.atomic)
	return err
}

// Delete removes an object and all its attributes. A temporary one that is in use stays, without
// attributes.
func (o *Objects) Delete(ctx context.Context, name media.Name) error {
	m, revision, err := o.meta(ctx, name)
	if err == nil && (m == nil || !m.Persistent && len(o.living(m.Nodes)) > 0) {
		_, err = o.Write(ctx, name, Write{Clear: true})
		return err
	}
	if err == nil {
		err = o.remove(ctx, name, revision)
	}
	if err != nil {
		return fmt.Errorf("delete object %s: %w", name, err)
	}
	return nil
}

// Create makes a persistent object of one that is not known. Others stay what they are.
func (o *Objects) Create(ctx context.Context, name media.Name) error {
	m, revision, err := o.meta(ctx, name)
	if err == nil && m == nil {
		err = o.putMeta(ctx, name, &meta{Persistent: true}, revision)
	}
	if err != nil && !bucket.IsMismatch(err) {
		return fmt.Errorf("create object %s: %w", name, away(err))
	}
	return nil
}

// self is the node's name in the entries of objects, empty for one that is no node.
func (o *Objects) self() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.members == nil {
		return ""
	}
	return o.members.Self()
}

// living returns those nodes that are not known to be dead.
func (o *Objects) living(nodes []string) []string {
	o.mu.Lock()
	m := o.members
	o.mu.Unlock()
	if m == nil {
		return nodes
	}
	alive, ok := m.Living()
	if !ok {
		return nodes
	}
	living := map[string]bool{m.Self(): true}
	for _, n := range alive {
		living[n] = true
	}
	return slices.DeleteFunc(slices.Clone(nodes), func(n string) bool { return !living[n] })
}

// Join makes the user of the objects a node.
func (o *Objects) Join(m Members) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.members = m
}

// Rejoined enters the node's new incarnation into all that it uses.
func (o *Objects) Rejoined() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for obj := range o.used {
		obj.enterAgain()
	}
}

func (o *Object) enterAgain() {
	select {
	case o.rejoin <- struct{}{}:
	default:
	}
}

// Reap deletes the temporary objects that only dead nodes have used, when nobody uses them after
// they have lingered.
func (o *Objects) Reap(ctx context.Context) error {
	orphans, err := o.orphans(ctx)
	if err != nil || len(orphans) == 0 {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(Linger):
	}
	for name, revision := range orphans {
		m, now, err := o.meta(ctx, name)
		if err == nil && m != nil && now == revision && len(o.living(m.Nodes)) == 0 {
			err = o.remove(ctx, name, revision)
		}
		if err != nil && !bucket.IsMismatch(err) {
			return fmt.Errorf("reap object %s: %w", name, err)
		}
	}
	return nil
}

// orphans are the temporary objects that no living node uses, and the revisions of their own
// entries.
func (o *Objects) orphans(ctx context.Context) (map[media.Name]uint64, error) {
	orphans := map[media.Name]uint64{}
	err := o.metas.Below(
		ctx,
		o.metas.Subject(metaToken+".>"),
		1,
		func(msg *nats.Msg, revision uint64) {
			var m meta
			if isRemoval(msg) || json.Unmarshal(msg.Data, &m) != nil || m.Persistent ||
				len(o.living(m.Nodes)) > 0 {
				return
			}
			if name, ok := nameOf(o.metas.Key(msg.Header.Get(jetstream.SubjectHeader))[len(metaToken)+1:]); ok {
				orphans[name] = revision
			}
		},
	)
	return orphans, err
}
