package jobstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

const (
	protocolVersion = 1
	slotsMax        = 100_000
	defaultSlots    = 16
	// defaultDrainTimeout is what running attempts get once the context of Run ended.
	defaultDrainTimeout = 10 * time.Second
	// letGoTimeout is what handlers get to return after their context ended with the worker.
	letGoTimeout = 2 * time.Second
	// settleTimeout is what the server gets to acknowledge the last reports.
	settleTimeout = 2 * time.Second
	// streamEndTimeout is what the server gets to end a stream after the worker closed its side.
	streamEndTimeout = 500 * time.Millisecond
)

// Worker takes jobs from a server and runs the handler of each, see [Handle].
type Worker struct {
	client       *Client
	name         string
	queues       []string
	slots        int
	drainTimeout time.Duration
	hasSignals   bool
	logger       *slog.Logger
	onConnect    func(workerID string)
	handlers     map[string]handlerFunc

	// told is closed when no more jobs are to be taken, ended when Run returns. overdue ends when what still runs is to
	// be given back.
	told, ended chan struct{}
	overdue     context.Context
	setOverdue  context.CancelFunc

	mu       sync.Mutex
	hasBegun bool
	drainBy  time.Time
	drain    *time.Timer
}

// WorkerOption changes a [Worker].
type WorkerOption func(*Worker)

// WithSlots is how many attempts run at a time. Default 16; at most 100,000.
func WithSlots(slots int) WorkerOption {
	return func(w *Worker) { w.slots = slots }
}

// WithQueues has the worker serve these queues. Default: all; at most 1,000.
func WithQueues(queues ...string) WorkerOption {
	return func(w *Worker) { w.queues = queues }
}

// WithDrainTimeout is how long running attempts may take once the context of [Worker.Run] ended, or a signal came.
// Default 10 s.
func WithDrainTimeout(timeout time.Duration) WorkerOption {
	return func(w *Worker) { w.drainTimeout = timeout }
}

// WithSignals has [Worker.Run] heed SIGTERM and SIGINT: the first drains the worker, the second gives everything back at
// once. Without it they do what the program has them do. While it runs, a log line for a stderr whose reader is gone is
// lost: without it, it ends the process by SIGPIPE, as is Go's way.
func WithSignals() WorkerOption {
	return func(w *Worker) { w.hasSignals = true }
}

// WithLogger is where the worker tells of its connections. Default [slog.Default].
func WithLogger(logger *slog.Logger) WorkerOption {
	return func(w *Worker) { w.logger = logger }
}

// WithOnConnect is called each time the worker connected, with what ListWorkers calls it. It is not to wait.
func WithOnConnect(connected func(workerID string)) WorkerOption {
	return func(w *Worker) { w.onConnect = connected }
}

// NewWorker makes a worker with a name for people: 1 to 128 characters of [A-Za-z0-9._:/-], which need not be unique. It
// does nothing before [Worker.Run].
func NewWorker(client *Client, name string, options ...WorkerOption) *Worker {
	w := &Worker{
		client:       client,
		name:         name,
		slots:        defaultSlots,
		drainTimeout: defaultDrainTimeout,
		logger:       slog.Default(),
		handlers:     map[string]handlerFunc{},
		told:         make(chan struct{}),
		ended:        make(chan struct{}),
	}
	w.overdue, w.setOverdue = context.WithCancel(context.Background())
	for _, option := range options {
		option(w)
	}
	return w
}

// log tells of the worker's connections. What a handler of the program's logs does is no reason to end a worker.
func (w *Worker) log(level slog.Level, message string, facts ...any) {
	defer func() { _ = recover() }()
	w.logger.Log(context.Background(), level, message, facts...)
}

// tellConnected calls the program's listener, whose panic is no reason to end a worker.
func (w *Worker) tellConnected(workerID string) {
	defer func() {
		if panicked := recover(); panicked != nil {
			w.log(slog.LevelWarn, "jobstream worker's listener panicked", "worker", w.name, "panic", panicked)
		}
	}()
	if w.onConnect != nil {
		w.onConnect(workerID)
	}
}

func (w *Worker) handle(kind string, handle handlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hasBegun {
		panic(fmt.Sprintf("jobstream: the worker runs already: call Handle for kind %q before Run", kind))
	}
	if w.handlers[kind] != nil {
		panic(fmt.Sprintf("jobstream: kind %q has two handlers in worker %q", kind, w.name))
	}
	w.handlers[kind] = handle
}

// Run takes jobs and runs them until the context ends, [Worker.Drain] or [Worker.Stop] is called, or an operator drains
// the worker. Then it takes no more, lets what runs finish within [WithDrainTimeout], gives back the rest without
// counting the attempt, and returns nil once the server knows. A connection that breaks is opened again, for as long as
// it takes; attempts go on meanwhile, unless their leases run out.
//
// An error says that the server refused the worker and would again: an [InvalidRequest], or an [Error] if it is none or
// wants credentials. A worker runs once.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.begin(); err != nil {
		return err
	}
	defer close(w.ended)
	defer w.setOverdue()
	if w.hasSignals {
		defer w.heedSignals()()
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	s := newSession(w, &jobstreamv1.Hello{
		ProtocolVersion: protocolVersion,
		Name:            w.name,
		InstanceId:      id.String(),
		Kinds:           slices.Sorted(maps.Keys(w.handlers)),
		Queues:          w.queues,
		Sdk:             "go/" + version,
		MessageBytesMax: proto.Uint32(uint32(w.client.settings.messageBytesMax)),
	})
	defer context.AfterFunc(ctx, func() { w.drainWithin(w.drainTimeout) })()
	return s.run()
}

func (w *Worker) begin() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.client == nil:
		return invalid("client", "the worker has none: pass one to NewWorker")
	case w.hasBegun:
		return errors.New("the worker was run before: make another with NewWorker")
	case len(w.handlers) == 0:
		return invalid("kinds", "the worker has no handler: call jobstream.Handle before Run")
	case w.slots < 1 || w.slots > slotsMax:
		return invalid("slots", fmt.Sprintf("%d slots are not 1 to %d", w.slots, slotsMax))
	}
	w.hasBegun = true
	return nil
}

// Drain has the worker take no more jobs, finish what runs within this time and give back the rest, and waits until Run
// returned. A worker that does not run yet will return at once when it does; then Drain does not wait.
func (w *Worker) Drain(within time.Duration) {
	if w.drainWithin(within) {
		<-w.ended
	}
}

// Stop has the worker give everything back at once, and waits until Run returned, as [Worker.Drain]. Handlers that do
// not heed their context for two seconds are left behind.
func (w *Worker) Stop() { w.Drain(0) }

// drainWithin has everything end within this time; an earlier word stands. It answers whether Run was called.
func (w *Worker) drainWithin(within time.Duration) (hasBegun bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	by := time.Now().Add(within)
	switch {
	case w.drain == nil:
		w.drainBy = by
		w.drain = time.AfterFunc(within, w.setOverdue)
		close(w.told)
	case by.Before(w.drainBy):
		w.drainBy = by
		w.drain.Reset(within)
	}
	return w.hasBegun
}
