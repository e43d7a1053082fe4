// The conformance agent of the Go client, see clients/conformance/README.md. It translates lines of JSON to calls of
// the client.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/jobstream/jobstream/clients/go"
)

// agent is the state shared by all commands.
type agent struct {
	writing sync.Mutex
	out     *json.Encoder

	mu       sync.Mutex
	client   *jobstream.Client
	jobs     map[string]submitted
	stops    map[int64]func()
	workers  map[int64]*jobstream.Worker
	released map[string]chan jobstream.Payload
}

// submitted is the handle of a job, used only with the client that submitted it.
type submitted struct {
	client *jobstream.Client
	job    *jobstream.Job[jobstream.Payload]
}

func main() {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	a := &agent{
		out:      out,
		jobs:     map[string]submitted{},
		stops:    map[int64]func(){},
		workers:  map[int64]*jobstream.Worker{},
		released: map[string]chan jobstream.Payload{},
	}
	if err := a.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// read starts each command until the input ends.
func (a *agent) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var c command
		if err := json.Unmarshal(line, &c); err != nil {
			return fmt.Errorf("%w in line %s", err, line)
		}
		a.start(&c)
	}
}

// start registers what later commands refer to before the next line is read.
func (a *agent) start(c *command) {
	ctx, cancel := context.WithCancel(context.Background())
	switch c.Op {
	case "watch", "feed":
		a.setStop(c.ID, cancel)
	case "work":
		worker, err := a.newWorker(c)
		if err != nil {
			cancel()
			a.respond(c, nil, err)
			return
		}
		a.setStop(c.ID, worker.Stop)
		c.worker = worker
	}
	go func() {
		defer cancel()
		ok, err := a.perform(ctx, c)
		a.respond(c, ok, err)
	}()
}

func (a *agent) perform(ctx context.Context, c *command) (any, error) {
	switch c.Op {
	case "connect":
		return a.connect(c)
	case "submit":
		return a.submit(ctx, c)
	case "run":
		return a.run(ctx, c)
	case "load":
		return a.load(ctx, c)
	case "result":
		return a.result(ctx, c)
	case "state":
		state, err := a.job(c.JobID).State(ctx)
		return map[string]any{"state": state}, err
	case "cancel":
		state, err := a.job(c.JobID).Cancel(ctx, c.Reason, c.cancelOptions()...)
		return map[string]any{"state": state}, err
	case "list":
		return a.list(ctx, c)
	case "retry":
		return a.retry(ctx, c)
	case "delete":
		return nil, a.currentClient().Delete(ctx, c.JobID)
	case "batch":
		return a.batch(ctx, c)
	case "queues":
		return a.queues(ctx)
	case "pause":
		_, err := a.currentClient().PauseQueue(ctx, c.Queue)
		return nil, err
	case "resume":
		_, err := a.currentClient().ResumeQueue(ctx, c.Queue)
		return nil, err
	case "purge":
		purged, err := a.currentClient().PurgeQueue(ctx, c.Queue)
		return map[string]any{"cancelled": purged}, err
	case "watch":
		return nil, a.watch(ctx, c)
	case "feed":
		return nil, a.feed(ctx, c)
	case "work":
		return nil, c.worker.Run(ctx)
	case "release":
		payload, err := c.Payload.read()
		a.release(c.JobID) <- payload
		return nil, err
	case "drain":
		a.target(c.Target).Drain(c.Within.duration())
		return nil, nil
	case "stop":
		a.stop(c.Target)
		return nil, nil
	default:
		return nil, fmt.Errorf("unknown op %q", c.Op)
	}
}

func (a *agent) write(line map[string]any) {
	a.writing.Lock()
	defer a.writing.Unlock()
	if err := a.out.Encode(line); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func (a *agent) respond(c *command, ok any, err error) {
	if err != nil {
		a.write(map[string]any{"id": c.ID, "error": describe(err)})
		return
	}
	if ok == nil {
		ok = struct{}{}
	}
	a.write(map[string]any{"id": c.ID, "ok": ok})
}

func (a *agent) event(c *command, event any) {
	a.write(map[string]any{"id": c.ID, "event": event})
}

func (a *agent) setStop(id int64, stop func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stops[id] = stop
}

// stop ends a watch, a feed or a worker, if it is running.
func (a *agent) stop(id int64) {
	a.mu.Lock()
	stop := a.stops[id]
	a.mu.Unlock()
	if stop != nil {
		stop()
	}
}

func (a *agent) target(id int64) *jobstream.Worker {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.workers[id]
}

// release returns the channel on which the hold handler of a job waits.
func (a *agent) release(jobID string) chan jobstream.Payload {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.released[jobID] == nil {
		a.released[jobID] = make(chan jobstream.Payload, 1)
	}
	return a.released[jobID]
}
