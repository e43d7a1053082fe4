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
	// defaultDrainTimeout is the time for running attempts to finish once the context of Run ended.
	defaultDrainTimeout = 10 * time.Second
	// stopTimeout is the time for handlers to return after their contexts were cancelled.
	stopTimeout = 2 * time.Second
	// acknowledgeTimeout is the time to wait for the acknowledgement of the last reports.
	acknowledgeTimeout = 2 * time.Second
	// streamEndTimeout is the time to wait for the server to close the stream.
	streamEndTimeout = 500 * time.Millisecond
)

// Worker receives jobs from a server and runs their handlers, see [Handle].
type Worker struct {
	client       *Client
	name         string
	queues       []string
	slots        int
	drainTimeout time.Duration
	hasSignals   bool
	logger       *slog.Logger
	onConnect    func(workerID string)
	handlers     map[string]HandlerNext
	interceptors []HandlerInterceptor
	failures     failureLog

	// draining is closed when the worker starts to drain, ended when Run returns. drainExpired ends when the remaining
	// attempts must be released.
	draining, ended chan struct{}
	drainExpired    context.Context
	expireDrain     context.CancelFunc

	mu            sync.Mutex
	hasStarted    bool
	drainDeadline time.Time
	drainTimer    *time.Timer
}

// WorkerOption is an option of a [Worker].
type WorkerOption func(*Worker)

// WithSlots sets the number of concurrent attempts. Default 16; at most 100,000.
func WithSlots(slots int) WorkerOption {
	return func(w *Worker) { w.slots = slots }
}

// WithQueues sets the queues to serve. Default: all; at most 1,000.
func WithQueues(queues ...string) WorkerOption {
	return func(w *Worker) { w.queues = queues }
}

// WithDrainTimeout sets the time for running attempts to finish after the context of [Worker.Run] ended or a signal
// arrived. Default 10 s.
func WithDrainTimeout(timeout time.Duration) WorkerOption {
	return func(w *Worker) { w.drainTimeout = timeout }
}

// WithSignals makes [Worker.Run] handle SIGTERM and SIGINT: the first drains the worker, the second releases all
// attempts immediately. While it runs, a write to a closed stderr is lost instead of ending the process by SIGPIPE.
func WithSignals() WorkerOption {
	return func(w *Worker) { w.hasSignals = true }
}

// WithLogger sets the logger for failed attempts, connection events and the drain. It logs no payloads. Default
// [slog.Default].
func WithLogger(logger *slog.Logger) WorkerOption {
	return func(w *Worker) { w.logger = logger }
}

// WithOnConnect sets a callback for each new connection. It receives the worker id of the server, as in ListWorkers,
// and must not block.
func WithOnConnect(connected func(workerID string)) WorkerOption {
	return func(w *Worker) { w.onConnect = connected }
}

// NewWorker creates a worker. The name is human-readable, 1 to 128 characters of [A-Za-z0-9._:/-], and need not be
// unique. The worker does nothing before [Worker.Run].
func NewWorker(client *Client, name string, options ...WorkerOption) *Worker {
	w := &Worker{
		client:       client,
		name:         name,
		slots:        defaultSlots,
		drainTimeout: defaultDrainTimeout,
		logger:       slog.Default(),
		handlers:     map[string]HandlerNext{},
		draining:     make(chan struct{}),
		ended:        make(chan struct{}),
	}
	w.drainExpired, w.expireDrain = context.WithCancel(context.Background())
	for _, option := range options {
		option(w)
	}
	return w
}

// notifyConnected calls the OnConnect callback. Its panic must not end the worker.
func (w *Worker) notifyConnected(workerID string) {
	defer func() {
		if panicked := recover(); panicked != nil {
			w.log(slog.LevelWarn, "jobstream worker's OnConnect callback panicked", "panic", panicked)
		}
	}()
	if w.onConnect != nil {
		w.onConnect(workerID)
	}
}

func (w *Worker) handle(kind string, handle HandlerNext) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hasStarted {
		panic(fmt.Sprintf("jobstream: the worker is running: call Handle for kind %q before Run", kind))
	}
	if w.handlers[kind] != nil {
		panic(fmt.Sprintf("jobstream: kind %q has two handlers in worker %q", kind, w.name))
	}
	w.handlers[kind] = handle
}

// Run runs jobs until the context ends, [Worker.Drain] or [Worker.Stop] is called, or an operator drains the worker. It
// then accepts no new jobs, waits for running attempts up to [WithDrainTimeout], releases the rest and returns nil once
// their reports are acknowledged. A released attempt does not count. Run reconnects after a lost connection without a
// time limit; attempts continue meanwhile unless their leases expire.
//
// An error means that the server rejected the worker permanently: an [InvalidRequest], [Unauthenticated],
// [PermissionDenied], an [Unavailable] whose reason is about certificates if the worker was never connected, or an
// [Error] such as Unimplemented. A worker runs once.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.begin(); err != nil {
		return err
	}
	defer close(w.ended)
	defer w.expireDrain()
	if w.hasSignals {
		defer w.handleSignals()()
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
		return invalid("client", "the worker has no client: pass one to NewWorker")
	case w.hasStarted:
		return errors.New("the worker was run before: create a new one with NewWorker")
	case len(w.handlers) == 0:
		return invalid("kinds", "the worker has no handler: call jobstream.Handle before Run")
	case w.slots < 1 || w.slots > slotsMax:
		return invalid("slots", fmt.Sprintf("slots is %d, must be 1 to %d", w.slots, slotsMax))
	}
	w.hasStarted = true
	return nil
}

// Drain makes the worker accept no new jobs, waits for running attempts up to this time, releases the rest, and returns
// after Run returned. If the worker is not running yet, Run returns immediately when it is called, and Drain does not
// wait.
func (w *Worker) Drain(within time.Duration) {
	if w.drainWithin(within) {
		<-w.ended
	}
}

// Stop releases all attempts immediately and returns after Run returned, as [Worker.Drain]. It waits two seconds for
// handlers that ignore their context.
func (w *Worker) Stop() { w.Drain(0) }

// drainWithin starts to drain with this deadline, or moves the deadline closer. It reports whether Run was called.
func (w *Worker) drainWithin(within time.Duration) (hasStarted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	by := time.Now().Add(within)
	switch {
	case w.drainTimer == nil:
		w.drainDeadline = by
		w.drainTimer = time.AfterFunc(within, w.expireDrain)
		close(w.draining)
	case by.Before(w.drainDeadline):
		w.drainDeadline = by
		w.drainTimer.Reset(within)
	}
	return w.hasStarted
}
