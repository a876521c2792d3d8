//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/message"
	"natscast/internal/rtmp/sharedobject"
)

const (
	pairRate    = 100 // changes a second of the one writer
	crowdUsers  = 1000
	crowdRate   = 50 // changes a second of all writers together
	crowdWriter = 5
	// Each of many connections on either node uses some objects, and changes each of them so often.
	manyConns   = 250
	manyObjects = 4
	manyRate    = 20
	idleUsers   = 4000
	dialAtOnce  = 16
)

// objectsRow is one line of the table about shared objects.
type objectsRow struct {
	label    string
	replicas int
	run      func(ctx context.Context, a, b *server, o options) (objectsFigures, error)
}

var objectsRows = []objectsRow{
	{"one object, 100 changes/s, a user on each node, R1", 1, runPair},
	{"one object, 100 changes/s, a user on each node, three NATS servers, R3", 3, runPair},
	{"one object, 50 changes/s, 500 users on each node, R1", 1, runCrowd},
	{
		"1000 objects, 20,000 changes/s, a writer on one node and a reader on the other, R1",
		1,
		runMany,
	},
}

// objectsFigures are what one row shows.
type objectsFigures struct {
	// from the request to the event at another client, on the other node where there are two
	latency  []time.Duration
	acks     int
	changes  int // events that came
	expected int
	wall     time.Duration
	alike    bool // all users have the same values at the end
}

// objectUser is a client of shared objects. A value is the time when it was asked for, in
// microseconds after epoch.
type objectUser struct {
	*client
	done chan struct{}

	mu      sync.Mutex // guards what follows
	values  map[string]float64
	counted bool
	latency []time.Duration
	changes int
	acks    int
	used    int
	err     error
}

var epoch = time.Now()

func now() float64 { return float64(time.Since(epoch).Microseconds()) }

// use connects to a node and uses objects there.
func use(ctx context.Context, s *server, objects ...string) (*objectUser, error) {
	c, err := dial(ctx, s.address, false)
	if err != nil {
		return nil, err
	}
	u := &objectUser{client: c, done: make(chan struct{}), values: map[string]float64{}}
	c.SetDeadline(time.Time{})
	go u.listen()
	if err := u.begin(objects...); err != nil {
		u.leave()
		return nil, err
	}
	return u, nil
}

// begin uses more objects, and waits until they are there.
func (u *objectUser) begin(objects ...string) error {
	u.mu.Lock()
	want := u.used + len(objects)
	u.mu.Unlock()
	for _, name := range objects {
		if err := u.request(name, sharedobject.Event{Type: sharedobject.Use}); err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(dialogTimeout); ; time.Sleep(time.Millisecond) {
		u.mu.Lock()
		used, err := u.used, u.err
		u.mu.Unlock()
		switch {
		case err != nil:
			return err
		case used >= want:
			return nil
		case time.Now().After(deadline):
			return errors.New("a shared object is not there in time")
		}
	}
}

func (u *objectUser) leave() {
	u.Close()
	<-u.done
}

func (u *objectUser) request(object string, e sharedobject.Event) error {
	m, err := sharedobject.Message{Name: object, Events: []sharedobject.Event{e}}.Message()
	if err != nil {
		return err
	}
	return u.send(m)
}

// change changes objects in one write to the socket.
func (u *objectUser) change(key string, objects ...string) error {
	var b []byte
	for _, name := range objects {
		m, err := sharedobject.Message{
			Name: name,
			Events: []sharedobject.Event{
				{Type: sharedobject.RequestChange, Key: key, Value: now()},
			},
		}.Message()
		if err != nil {
			return err
		}
		b = chunk.Append(b, m, sendChunk)
	}
	_, err := u.Write(b)
	return err
}

func (u *objectUser) listen() {
	defer close(u.done)
	for {
		m, err := u.in.Read()
		if err == nil && m.Type == message.TypeSharedObject {
			err = u.take(m)
		}
		if err != nil {
			u.mu.Lock()
			if !errors.Is(err, net.ErrClosed) {
				u.err = err
			}
			u.mu.Unlock()
			return
		}
	}
}

func (u *objectUser) take(m chunk.Message) error {
	so, err := sharedobject.Decode(m)
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, e := range so.Events {
		switch e.Type {
		case sharedobject.UseSuccess:
			u.used++
		case sharedobject.Success:
			u.acks++
		case sharedobject.Change:
			value, _ := e.Value.(float64)
			u.values[so.Name+"/"+e.Key] = value
			if u.counted {
				u.changes++
				u.latency = append(u.latency, time.Duration(now()-value)*time.Microsecond)
			}
		case sharedobject.Status:
			return fmt.Errorf("refused: %s", e.Key)
		}
	}
	return nil
}

// useAll connects many users, a few at once. It returns those that it has connected with the error
// too.
func useAll(
	ctx context.Context,
	n int,
	open func(i int) (*objectUser, error),
) ([]*objectUser, error) {
	users := make([]*objectUser, n)
	errs := make([]error, n)
	next := make(chan int)
	var workers sync.WaitGroup
	for range dialAtOnce {
		workers.Go(func() {
			for i := range next {
				users[i], errs[i] = open(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
	return slices.DeleteFunc(
			users,
			func(u *objectUser) bool { return u == nil },
		), errors.Join(
			errs...)
}

func leaveAll(users []*objectUser) {
	for _, u := range users {
		u.leave()
	}
}

// every calls do at a rate until the time is over.
func every(ctx context.Context, rate float64, length, phase time.Duration, do func() error) error {
	begun := time.Now().Add(phase)
	for i := 0; ; i++ {
		due := time.Duration(float64(i) / rate * float64(time.Second))
		if due >= length {
			return nil
		}
		if !sleepUntil(ctx, begun.Add(due)) {
			return context.Cause(ctx)
		}
		if err := do(); err != nil {
			return err
		}
	}
}

// figures are those of what the users have seen from now until all is silent after write has ended.
func figures(readers, all []*objectUser, write func() error) (f objectsFigures, err error) {
	for _, u := range readers {
		u.mu.Lock()
		u.counted = true
		u.mu.Unlock()
	}
	begun := time.Now()
	if err := write(); err != nil {
		return f, err
	}
	f.wall = time.Since(begun)
	time.Sleep(settleTime)
	var first map[string]float64
	f.alike = true
	for _, u := range all {
		u.mu.Lock()
		f.acks += u.acks
		f.changes += u.changes
		f.latency = append(f.latency, u.latency...)
		err = errors.Join(err, u.err)
		u.mu.Unlock()
	}
	for _, u := range readers {
		u.mu.Lock()
		if first == nil {
			first = u.values
		}
		for key, value := range u.values {
			if other, ok := first[key]; ok && other != value {
				f.alike = false
			}
		}
		u.mu.Unlock()
	}
	return f, err
}

func runPair(ctx context.Context, a, b *server, o options) (f objectsFigures, err error) {
	writer, err := use(ctx, a, "pair")
	if err != nil {
		return f, err
	}
	defer writer.leave()
	reader, err := use(ctx, b, "pair")
	if err != nil {
		return f, err
	}
	defer reader.leave()
	f, err = figures([]*objectUser{reader}, []*objectUser{writer, reader}, func() error {
		return every(
			ctx,
			pairRate,
			o.duration,
			0,
			func() error { return writer.change("x", "pair") },
		)
	})
	f.expected = int(pairRate * o.duration.Seconds())
	return f, err
}

func runCrowd(ctx context.Context, a, b *server, o options) (f objectsFigures, err error) {
	users, err := useAll(ctx, crowdUsers, func(i int) (*objectUser, error) {
		return use(ctx, []*server{a, b}[i%2], "crowd")
	})
	defer leaveAll(users)
	if err != nil {
		return f, err
	}
	f, err = figures(users, users, func() error {
		i := 0
		return every(ctx, crowdRate, o.duration, 0, func() error {
			i++
			return users[i%crowdWriter].change(fmt.Sprintf("x%d", i%crowdWriter), "crowd")
		})
	})
	f.expected = int(crowdRate*o.duration.Seconds()) * (crowdUsers - 1)
	return f, err
}

func runMany(ctx context.Context, a, b *server, o options) (f objectsFigures, err error) {
	names := func(i int) (list []string) {
		for n := range manyObjects {
			list = append(list, fmt.Sprintf("o%d-%d", i, n))
		}
		return list
	}
	users, err := useAll(ctx, 2*manyConns, func(i int) (*objectUser, error) {
		return use(ctx, []*server{a, b}[i%2], names(i/2)...)
	})
	defer leaveAll(users)
	if err != nil {
		return f, err
	}
	var readers []*objectUser
	for i := 1; i < len(users); i += 2 {
		readers = append(readers, users[i])
	}
	f, err = figures(readers, users, func() error {
		var writing sync.WaitGroup
		errs := make([]error, manyConns)
		for i := range manyConns {
			phase := time.Second * time.Duration(i) / manyRate / manyConns
			writing.Go(func() {
				errs[i] = every(
					ctx,
					manyRate,
					o.duration,
					phase,
					func() error { return users[2*i].change("x", names(i)...) },
				)
			})
		}
		writing.Wait()
		return errors.Join(errs...)
	})
	f.expected = int(manyConns * manyObjects * manyRate * o.duration.Seconds())
	return f, err
}

// withNodes runs a row on two nodes over NATS.
func withNodes(
	ctx context.Context,
	w *workshop,
	replicas int,
	run func(processes []*process, a, b *server) error,
) (err error) {
	servers, url, err := startNATSCluster(ctx, w, replicas)
	defer func() {
		for _, s := range servers {
			err = s.end(err)
		}
	}()
	if err != nil {
		return err
	}
	var nodes []*server
	for i, id := range []string{"a", "b"} {
		n, err := startNode(
			ctx,
			w,
			"edge",
			"--nats",
			url[i%len(url)],
			"--id",
			id,
			"--kv-replicas",
			fmt.Sprint(replicas),
		)
		if err != nil {
			return err
		}
		defer n.stop()
		nodes = append(nodes, n)
	}
	processes := append(slices.Clone(servers), nodes[0].process, nodes[1].process)
	return run(processes, nodes[0], nodes[1])
}

func reportObjects(ctx context.Context, out io.Writer, w *workshop, o options) error {
	fmt.Fprintf(out, "Shared objects, RTMP clients on two nodes over external NATS:\n\n")
	t := newTable(
		"what",
		"latency p50",
		"p99 ms",
		"changes/s",
		"events came",
		"alike",
		"cores: NATS",
		"nodes",
	)
	var notes []string
	for _, r := range objectsRows {
		err := withNodes(ctx, w, r.replicas, func(processes []*process, a, b *server) error {
			before, err := readClocks(processes)
			if err != nil {
				return err
			}
			f, err := r.run(ctx, a, b, o)
			if err != nil {
				return err
			}
			after, err := readClocks(processes)
			if err != nil {
				return err
			}
			var win window
			win.spent(before, after)
			nats, nodes := win.cpu[:len(win.cpu)-2], win.cpu[len(win.cpu)-2:]
			t.add(
				r.label,
				ms(f.latency, 0.5),
				ms(f.latency, 0.99),
				fmt.Sprintf("%.0f", float64(f.acks)/f.wall.Seconds()),
				fmt.Sprintf(
					"%.1f %%",
					100*float64(f.changes)/float64(f.expected),
				),
				map[bool]string{true: "yes", false: "NO"}[f.alike],
				cores(nats, win.wall),
				cores(nodes, win.wall),
			)
			notes = append(
				notes,
				fmt.Sprintf(
					"%s: the clients took %.2f cores",
					r.label,
					win.own.Seconds()/win.wall.Seconds(),
				),
			)
			if win.others > busyCores {
				notes = append(
					notes,
					fmt.Sprintf("WARNING: others kept %.2f cores busy meanwhile", win.others),
				)
			}
			return nil
		})
		if err != nil {
			notes = append(notes, fmt.Sprintf("%s: failed: %v", r.label, err))
		}
	}
	note, err := idleMemory(ctx, w)
	if err != nil {
		return err
	}
	return t.write(out, o.markdown, append(notes, note))
}

func cores(cpu []time.Duration, wall time.Duration) string {
	var list []string
	for _, c := range cpu {
		list = append(list, fmt.Sprintf("%.2f", c.Seconds()/wall.Seconds()))
	}
	return strings.Join(list, " + ")
}

// idleMemory tells what a client costs that uses an object and is silent.
func idleMemory(ctx context.Context, w *workshop) (note string, err error) {
	err = withNodes(ctx, w, 1, func(_ []*process, a, _ *server) error {
		empty, err := a.rss()
		if err != nil {
			return err
		}
		users, err := useAll(
			ctx,
			idleUsers,
			func(int) (*objectUser, error) { return use(ctx, a, "idle") },
		)
		defer leaveAll(users)
		if err != nil {
			return err
		}
		time.Sleep(settleTime)
		using, err := a.rss()
		note = fmt.Sprintf(
			"%d idle users of an object: %.1f KB RSS each",
			idleUsers,
			float64(using-empty)/idleUsers/1000,
		)
		return err
	})
	return note, err
}
