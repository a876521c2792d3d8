package objects

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natscast/internal/media"
	"natscast/kv/bucket"
	"natscast/kv/objects/replica"
)

// Errors of shared objects.
var (
	// ErrLimit says that a key, a value or an object is larger than it may be.
	ErrLimit = errors.New("over a limit of shared objects")
	// ErrConflict says that an attribute has not the revision that a change wanted it to have.
	ErrConflict = errors.New("the attribute was changed meanwhile")
	// ErrAway says that the store does not answer. A write may be stored all the same.
	ErrAway = errors.New("the store of shared objects is away")
	// ErrNoObject says that there is no such object.
	ErrNoObject = errors.New("no such shared object")
)

const (
	// Bucket is where they are.
	Bucket = "objects"
	// metaToken is before the keys of what is known of objects themselves. It is no escape, so no
	// app is called that.
	metaToken = "=object"
	// sendToken is in the place of an attribute in the subject of what is sent to an object's
	// users.
	sendToken = "=send"
	// Linger is how long a temporary object outlives its last user.
	Linger = 5 * time.Second
	// openAtOnce bounds the objects that are opened together.
	openAtOnce = 32
	// askAtOnce bounds those that ask for what they have missed: an election makes all ask.
	askAtOnce = 8
	// DedupeWindow is how long the store must recognize a message that comes again: longer than a
	// write is tried.
	DedupeWindow = 2 * writePatience
	// leaveTimeout bounds what a node that leaves an object still does.
	leaveTimeout = 3 * time.Second
)

// Headers of what natscast writes. Other clients need none of them.
const (
	writerHeader  = "Natscast-Writer"  // who wrote: WRITER/NUMBER, the number is that of the write
	versionHeader = "Natscast-Version" // of the object, after the write
	partHeader    = "Natscast-Part"    // PART/PARTS of a write that stores several attributes
	clearHeader   = "Natscast-Clear"   // the write removes all attributes
	afterHeader   = "Natscast-After"   // revision that was before what is sent
)

// ObjectInfo tells of an object as a whole.
type ObjectInfo struct {
	Name       media.Name `json:"name"`
	Persistent bool       `json:"persistent"`
	// Undecided says that only attributes are known: its first user decides what it is.
	Undecided bool `json:"undecided,omitempty"`
	// Nodes are those with users of a temporary object, as NODE.INCARNATION; some may be dead.
	Nodes []string `json:"nodes,omitempty"`
	Keys  int      `json:"keys"`
	Bytes int      `json:"bytes"` // of all values
}

// meta is the value of an object's own key.
type meta struct {
	Persistent bool     `json:"persistent"`
	Nodes      []string `json:"nodes,omitempty"`
}

// Objects are the shared objects of the cluster, in the bucket "objects". Each attribute is a key
// of its own, OBJECT.ATTRIBUTE, whose value is JSON: any NATS client may put it, watch it and
// remove it. What is no JSON counts as a string.
type Objects struct {
	log     *slog.Logger
	js      jetstream.JetStream
	bucket  *bucket.Bucket[json.RawMessage]
	metas   *bucket.Bucket[meta]
	writer  string        // tells this process's writes from those of others
	opening chan struct{} // a token for each object that is being opened
	asking  chan struct{} // and for each one that asks for what it has missed
	acks    string        // before the numbers of writes, the subjects for answers
	atomic  bool          // the server stores several messages as one
	quick   bool          // at little cost

	gaps idleGaps

	publishing sync.Mutex // held while a batch is published; after an object's lock

	mu       sync.Mutex // after an object's lock
	members  Members    // nil for one who is no node
	used     map[*Object]bool
	inFlight map[uint64]*Object // by the number of the first write that is not answered
	written  uint64             // number of the last write
}

// Members are the nodes of the cluster, each as NODE.INCARNATION.
type Members interface {
	// Self is this node.
	Self() string
	// Living are those that live. ok is false while that is not known.
	Living() (nodes []string, ok bool)
}

// Open returns the objects of a bucket, over a connection that stays the caller's.
func Open(
	ctx context.Context,
	nc *nats.Conn,
	kv jetstream.KeyValue,
	log *slog.Logger,
) (*Objects, error) {
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(bucket.RequestTimeout))
	if err != nil {
		return nil, err
	}
	stream, err := js.Stream(ctx, "KV_"+kv.Bucket())
	if err != nil {
		return nil, err
	}
	o := newObjects(js, kv, stream.CachedInfo().Config, log)
	_, err = nc.Subscribe(o.acks+"*", o.acknowledged) // until the connection is closed
	return o, err
}

func newObjects(
	js jetstream.JetStream, kv jetstream.KeyValue, c jetstream.StreamConfig, log *slog.Logger,
) *Objects {
	return &Objects{
		log: log,
		js:  js, atomic: c.AllowAtomicPublish, quick: c.Replicas > 1 || c.Storage == jetstream.MemoryStorage,
		bucket: bucket.New(
			js,
			kv,
			func(_ string, value []byte, _ uint64) (json.RawMessage, error) { return normalize(value) },
			log,
		),
		metas:    bucket.New(js, kv, decodeMeta, log),
		writer:   strings.TrimPrefix(nats.NewInbox(), nats.InboxPrefix),
		acks:     js.Conn().NewInbox() + ".",
		used:     map[*Object]bool{},
		opening:  make(chan struct{}, openAtOnce),
		asking:   make(chan struct{}, askAtOnce),
		inFlight: map[uint64]*Object{},
	}
}

// WithoutBatches has several attributes stored one after the other, as for a server that does not
// know atomic batches. It is called before the first use.
func (o *Objects) WithoutBatches() { o.atomic = false }

func decodeMeta(key string, value []byte, _ uint64) (meta, error) {
	var m meta
	if err := json.Unmarshal(value, &m); err != nil {
		return meta{}, fmt.Errorf("%w: %s: %w", bucket.ErrValue, key, err)
	}
	return m, nil
}

// normalize makes JSON of what a client has put.
func normalize(value []byte) (json.RawMessage, error) {
	switch {
	case len(value) > MaxValue:
		return nil, fmt.Errorf("%w: %w: a value of %d bytes", bucket.ErrValue, ErrLimit, len(value))
	case json.Valid(value):
		return value, nil
	case utf8.Valid(value):
		return text(string(value))
	}
	return nil, fmt.Errorf("%w: neither JSON nor text", bucket.ErrValue)
}

// text is a string as JSON, its characters as they are.
func text(s string) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(s)
	return bytes.TrimSpace(b.Bytes()), err
}

// keyToken returns an attribute's key as one token of a subject, and keyOf the other way round.
func keyToken(
	key string,
) string {
	return strings.ReplaceAll(media.Name(key).Subject(), ".", "=2F")
}

func keyOf(token string) (string, bool) {
	if !strings.Contains(token, "=") {
		return token, token != ""
	}
	var b []byte
	for i := 0; i < len(token); i++ {
		if token[i] != '=' {
			b = append(b, token[i])
			continue
		}
		if i+2 >= len(token) {
			return "", false
		}
		c, err := strconv.ParseUint(token[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b = append(b, byte(c))
		i += 2
	}
	return string(b), true
}

func nameOf(subject string) (media.Name, bool) {
	name, ok := keyOf(strings.ReplaceAll(subject, ".", "/"))
	return media.Name(name), ok
}

// ObjectName makes a name of a scope, which is the app with its instances, and the name within it.
func ObjectName(scope, name string) (media.Name, error) { return media.ParseName(scope, name) }

func (o *Objects) filter(name media.Name) string { return o.bucket.Subject(name.Subject() + ".*") }

// List returns all objects, those first that were written first.
func (o *Objects) List(ctx context.Context) ([]ObjectInfo, error) {
	objects := map[string]*ObjectInfo{}
	var order []string
	at := func(subject string) *ObjectInfo {
		if objects[subject] == nil {
			name, ok := nameOf(subject)
			objects[subject] = &ObjectInfo{Name: name, Undecided: true}
			if ok {
				order = append(order, subject)
			}
		}
		return objects[subject]
	}
	err := o.bucket.Each(ctx, func(key string, value []byte, _ uint64) {
		if len(value) == 0 {
			return
		}
		if subject, ok := strings.CutPrefix(key, metaToken+"."); ok {
			if m, err := decodeMeta(key, value, 0); err == nil {
				info := at(subject)
				info.Persistent, info.Undecided, info.Nodes = m.Persistent, false, m.Nodes
			}
			return
		}
		if i := strings.LastIndexByte(key, '.'); i > 0 {
			info := at(key[:i])
			info.Keys++
			info.Bytes += len(value)
		}
	})
	list := make([]ObjectInfo, 0, len(order))
	for _, subject := range order {
		list = append(list, *objects[subject])
	}
	slices.SortFunc(
		list,
		func(a, b ObjectInfo) int { return strings.Compare(string(a.Name), string(b.Name)) },
	)
	return list, err
}

// Read returns the attributes of an object, ordered by key, and its revision. It fails with
// [ErrNoObject] when nothing is known of it. While the store is away, it is what this node has last
// heard of an object that its clients use; otherwise Read fails with [ErrAway] then.
func (o *Objects) Read(ctx context.Context, name media.Name) (*State, error) {
	s, err := o.load(ctx, name)
	var value []byte
	if err == nil {
		value, _, err = o.metas.Latest(ctx, metaKey(name))
	}
	switch {
	case err != nil:
		if s = o.known(name); s != nil {
			return s, nil
		}
		return nil, fmt.Errorf("read object %s: %w", name, away(err))
	case len(value) > 0:
		m, err := decodeMeta(string(name), value, 0)
		if err != nil {
			return nil, err
		}
		s.Persistent = m.Persistent
	case s.Len() == 0:
		return nil, fmt.Errorf("%w: %s", ErrNoObject, name)
	}
	return s, nil
}

// known returns a copy of an object that this node's clients use, nil if they do not.
func (o *Objects) known(name media.Name) (s *State) {
	o.mu.Lock()
	var used []*Object
	for u := range o.used {
		if u.name == name {
			used = append(used, u)
		}
	}
	o.mu.Unlock()
	for _, u := range used {
		u.Do(func(state *State) {
			if u.opened {
				s = state.Clone()
			}
		})
	}
	return s
}

// load reads the attributes so that they are at least as new as what the leader has now: another
// replica may lag.
func (o *Objects) load(ctx context.Context, name media.Name) (*State, error) {
	for {
		_, head, err := o.bucket.Latest(ctx, name.Subject()+".*")
		if err != nil {
			return nil, err
		}
		s := replica.NewState(name)
		err = o.bucket.Below(ctx, o.filter(name), 1, func(m *nats.Msg, _ uint64) {
			s.Load(o.change(m))
		})
		if err != nil || s.Revision >= head {
			return s, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(bucket.RetryInterval):
		}
	}
}
