package jobstream_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/jobstream/jobstream/clients/go"
	"github.com/jobstream/jobstream/clients/go/jobstreamtest"
	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// feed reads a watch of all jobs on a goroutine, until the test ends.
type feed struct {
	items   chan jobstream.FeedItem
	cursors chan string
	ended   chan error
}

// newFeed starts a watch. It returns once the stream is open.
func newFeed(t *testing.T, client *jobstream.Client, filter jobstream.ChangeFilter, options ...jobstream.WatchOption) *feed {
	t.Helper()
	f := &feed{make(chan jobstream.FeedItem, 100), make(chan string, 100), make(chan error, 1)}
	options = append(options, jobstream.WithOnCursor(func(cursor string) { f.cursors <- cursor }))
	ctx := within(t)
	go func() {
		for item, err := range client.WatchJobs(ctx, filter, options...) {
			if err != nil {
				f.ended <- err
				return
			}
			f.items <- item
		}
	}()
	f.cursor(t)
	return f
}

func (f *feed) cursor(t *testing.T) string {
	t.Helper()
	select {
	case cursor := <-f.cursors:
		return cursor
	case err := <-f.ended:
		t.Fatal(err)
		return ""
	}
}

func (f *feed) next(t *testing.T) jobstream.FeedItem {
	t.Helper()
	select {
	case item := <-f.items:
		return item
	case err := <-f.ended:
		t.Fatal(err)
		return nil
	}
}

// states returns the states of the next three changes, which are of this job.
func (f *feed) states(t *testing.T, id string) (states [3]jobstream.State) {
	t.Helper()
	for i := range states {
		change, isChange := f.next(t).(*jobstream.JobChange)
		if !isChange || change.JobID != id {
			t.Fatalf("%+v", change)
		}
		states[i] = change.Event.State
	}
	return states
}

func (f *feed) expect(t *testing.T, job *jobstream.Job[any]) {
	t.Helper()
	expected := [3]jobstream.State{jobstream.StateQueued, jobstream.StateRunning, jobstream.StateSucceeded}
	if states := f.states(t, job.ID()); states != expected {
		t.Error(states)
	}
}

func TestWatchOfAllJobsResumesAfterACutConnection(t *testing.T) {
	server := jobstreamtest.Server(t, "--demo=true")
	broken := newProxy(t, server.Address)
	changes := newFeed(t, connect(t, broken.address()), jobstream.ChangeFilter{})
	for n := range 5 {
		changes.expect(t, submit[any](t, server.Client(), "demo.echo", n))
		broken.cut()
		// Accepted while the connection is broken.
		changes.expect(t, submit[any](t, server.Client(), "demo.echo", n))
	}
}

func TestWatchOfAllJobsResumesElsewhereAfterItsCursor(t *testing.T) {
	client := jobstreamtest.Server(t, "--demo=true").Client()
	labels := map[string]string{"part": "1"}
	submitted := func() *jobstream.Job[any] {
		return submit[any](t, client, "demo.echo", nil, jobstream.WithQueue("reports"), jobstream.WithLabels(labels))
	}
	filter := jobstream.ChangeFilter{Queue: "reports", Kind: "demo.echo", Labels: labels}
	changes := newFeed(t, client, filter)
	submit[any](t, client, "demo.echo", nil, jobstream.WithQueue("others"), jobstream.WithLabels(labels))
	submit[any](t, client, "others", nil, jobstream.WithQueue("reports"), jobstream.WithLabels(labels))
	submit[any](t, client, "demo.echo", nil, jobstream.WithQueue("reports"))
	first := submitted()
	change := changes.next(t).(*jobstream.JobChange)
	if change.JobID != first.ID() || change.Queue != "reports" || change.Kind != "demo.echo" ||
		!maps.Equal(change.Labels, labels) || change.Owner != "" || change.Event.State != jobstream.StateQueued {
		t.Errorf("%+v", change)
	}
	for range 2 {
		change = changes.next(t).(*jobstream.JobChange)
	}
	second := submitted()
	if _, err := second.Result(within(t)); err != nil {
		t.Fatal(err)
	}
	newFeed(t, client, filter, jobstream.WithAfterCursor(change.LastCursor())).expect(t, second)
	filter.States = []jobstream.State{jobstream.StateSucceeded}
	ended := newFeed(t, client, filter, jobstream.WithAfterCursor(change.LastCursor()))
	if change := ended.next(t).(*jobstream.JobChange); change.JobID != second.ID() || change.Event.State != jobstream.StateSucceeded {
		t.Errorf("%+v", change)
	}
}

func TestChangesBeforeARestartAreAGap(t *testing.T) {
	server := jobstreamtest.Server(t)
	changes := newFeed(t, server.Client(), jobstream.ChangeFilter{})
	server.Restart("--demo=true")
	gap, isGap := changes.next(t).(*jobstream.FeedGap)
	if !isGap || gap.Missed != 0 || gap.LastCursor() == "" {
		t.Errorf("%+v", gap)
	}
	changes.expect(t, submit[any](t, server.Client(), "demo.echo", nil))
}

// last returns the last item of a watch.
func last(items iter.Seq2[jobstream.FeedItem, error]) (item jobstream.FeedItem, err error) {
	for item, err = range items {
		if err != nil {
			return item, err
		}
	}
	return item, err
}

func TestErrorsOfAWatchOfAllJobs(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	for text, items := range map[string]iter.Seq2[jobstream.FeedItem, error]{
		`"DONE" is not a state`: client.WatchJobs(within(t), jobstream.ChangeFilter{States: []jobstream.State{"DONE"}}),
		"after_cursor":          client.WatchJobs(within(t), jobstream.ChangeFilter{}, jobstream.WithAfterCursor("none")),
	} {
		if _, err := last(items); !errors.As(err, new(*jobstream.InvalidRequest)) || !strings.Contains(err.Error(), text) {
			t.Errorf("%T %v", err, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := last(client.WatchJobs(ctx, jobstream.ChangeFilter{}, jobstream.WithOnCursor(func(string) { cancel() })))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%T %v", err, err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	unreachable := connect(t, listener.Addr().String(), jobstream.WithPatience(50*time.Millisecond))
	if _, err := last(unreachable.WatchJobs(within(t), jobstream.ChangeFilter{})); !errors.As(err, new(*jobstream.Unavailable)) {
		t.Errorf("%T %v", err, err)
	}
}

// silentServer sends the first message of each feed only.
type silentServer struct {
	jobstreamv1.UnimplementedJobServiceServer
	after chan string
}

func (s *silentServer) WatchJobs(
	request *jobstreamv1.WatchJobsRequest, stream grpc.ServerStreamingServer[jobstreamv1.WatchJobsResponse],
) error {
	s.after <- request.AfterCursor
	begin := &jobstreamv1.WatchJobsResponse_Heartbeat{Heartbeat: &jobstreamv1.FeedHeartbeat{}}
	if err := stream.Send(&jobstreamv1.WatchJobsResponse{Cursor: request.AfterCursor + "x", Message: begin}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return stream.Context().Err()
}

func TestSilentWatchOfAllJobsResumesAfterTheCursorOfAHeartbeat(t *testing.T) {
	server := &silentServer{after: make(chan string, 100)}
	client := fakeServer(t, func(s *grpc.Server) { jobstreamv1.RegisterJobServiceServer(s, server) })
	newFeed(t, client, jobstream.ChangeFilter{}, jobstream.WithHeartbeat(time.Millisecond))
	for _, expected := range []string{"", "x", "xx"} {
		select {
		case after := <-server.after:
			if after != expected {
				t.Errorf("%q, expected %q", after, expected)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the watch did not resume")
		}
	}
}

const watchingProgram = `package main

import (
	"context"
	"fmt"
	"os"

	"github.com/jobstream/jobstream/clients/go"
)

func watch(ctx context.Context, client *jobstream.Client, last string) error {
	%s
	return nil
}

func main() {
	client, err := jobstream.New("")
	if err == nil {
		err = watch(context.Background(), client, os.Getenv("LAST"))
	}
	if err != nil {
		panic(err)
	}
}
`

// TestReadmeWatchesAllJobs runs the example until it has printed one failure.
func TestReadmeWatchesAllJobs(t *testing.T) {
	server := jobstreamtest.Server(t, "--demo=true")
	t.Setenv("JOBSTREAM_ADDRESS", server.Address)
	_, section, _ := strings.Cut(readme(t), "## Watch all jobs")
	example := regexp.MustCompile("(?s)```go\n(.*?)```").FindStringSubmatch(section)
	if example == nil {
		t.Fatal("the README has no example")
	}
	changes := newFeed(t, server.Client(), jobstream.ChangeFilter{})
	failed := submit[any](t, server.Client(), "demo.fail", map[string]string{"message": "no paper"})
	t.Setenv("LAST", changes.next(t).LastCursor())
	ending := regexp.MustCompile(`fmt.Println\(item.JobID.*`).ReplaceAllString(example[1], "$0\nreturn nil")
	printed := runProgram(t, fmt.Sprintf(watchingProgram, ending), t.TempDir())
	if printed != failed.ID()+" no paper\n" {
		t.Error(printed)
	}
}
