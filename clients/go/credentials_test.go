package jobstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/jobstream/jobstream/clients/go"
	"github.com/jobstream/jobstream/clients/go/jobstreamtest"
	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

const rightToken = "jst_right"

// tokenProxy is the address of a proxy of the server that requires rightToken.
func tokenProxy(t *testing.T, server *jobstreamtest.TestServer) string {
	t.Helper()
	return checkingProxy(t, server.Address, "authorization", "Bearer "+rightToken, http.StatusUnauthorized)
}

// tokens returns these tokens in turn, and then always the last one. An error is returned as such.
type tokens struct {
	mu    sync.Mutex
	left  []any
	calls atomic.Int32
}

func newTokens(left ...any) *tokens { return &tokens{left: left} }

func (f *tokens) set(left ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = left
}

func (f *tokens) next(context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls.Add(1)
	given := f.left[0]
	if len(f.left) > 1 {
		f.left = f.left[1:]
	}
	if err, isError := given.(error); isError {
		return "", err
	}
	return given.(string), nil
}

func TestMetadataIsSentWithEachCallAndStream(t *testing.T) {
	server := jobstreamtest.Server(t)
	proxy := checkingProxy(t, server.Address, "x_team", "blue", http.StatusForbidden)
	client := connect(t, proxy, jobstream.WithMetadata(map[string]string{"X-Team": "blue"}))
	useEverything(t, client)
	admin := jobstreamv1.NewAdminServiceClient(client.Conn())
	if _, err := admin.GetServerInfo(within(t), &jobstreamv1.GetServerInfoRequest{}); err != nil {
		t.Error(err)
	}
	_, err := connect(t, proxy).Queues(within(t))
	if !errors.As(err, new(*jobstream.PermissionDenied)) || !strings.Contains(err.Error(), "HTTP status 403") {
		t.Errorf("%T %v", err, err)
	}
}

func TestTokenIsSentWithEachCallAndStream(t *testing.T) {
	proxy := tokenProxy(t, jobstreamtest.Server(t))
	useEverything(t, connect(t, proxy, jobstream.WithToken(rightToken)))
	function := newTokens(rightToken + "\n")
	client := connect(t, proxy, jobstream.WithTokenFunc(function.next))
	useEverything(t, client)
	before := function.calls.Load()
	for range 2 {
		if _, err := client.Queues(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	if calls := function.calls.Load() - before; calls != 2 {
		t.Errorf("2 calls used %d tokens", calls)
	}
	t.Setenv("JOBSTREAM_TOKEN", rightToken)
	useEverything(t, connect(t, proxy))
}

func TestRefusedCallIsRepeatedOnceWithAnotherToken(t *testing.T) {
	server := jobstreamtest.Server(t, "--demo=true")
	proxy := tokenProxy(t, server)
	id := submit[any](t, server.Client(), "demo.echo", 1).ID()
	calls := map[string]func(*jobstream.Client) error{
		"call": func(c *jobstream.Client) error { _, err := c.Queues(within(t)); return err },
		"once": func(c *jobstream.Client) error { _, err := c.PurgeQueue(within(t), "default"); return err },
		"wait": func(c *jobstream.Client) error { _, err := c.Job(id).Result(within(t)); return err },
		"watch": func(c *jobstream.Client) error {
			for _, err := range c.Job(id).Watch(within(t)) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"worker": func(c *jobstream.Client) error {
			worker, connected := newCountedWorker(c)
			ended := begin(t, worker)
			select {
			case <-connected:
				worker.Stop()
				return <-ended
			case err := <-ended:
				return err
			}
		},
	}
	for name, send := range calls {
		function := newTokens("old", rightToken)
		if err := send(connect(t, proxy, jobstream.WithTokenFunc(function.next))); err != nil || function.calls.Load() != 2 {
			t.Errorf("%s: %v after %d tokens", name, err, function.calls.Load())
		}
		refused := newTokens("old")
		err := send(connect(t, proxy, jobstream.WithTokenFunc(refused.next)))
		if !errors.As(err, new(*jobstream.Unauthenticated)) || refused.calls.Load() != 2 {
			t.Errorf("%s: %T %v after %d tokens", name, err, err, refused.calls.Load())
		}
		if err := send(connect(t, proxy, jobstream.WithToken("wrong-secret"))); !errors.As(err, new(*jobstream.Unauthenticated)) ||
			strings.Contains(fmt.Sprintf("%+v", err), "secret") {
			t.Errorf("%s: %T %v", name, err, err)
		}
	}
}

func TestRefusedRunIsRepeatedOnceWithAnotherToken(t *testing.T) {
	function := newTokens(rightToken)
	client := connect(t, tokenProxy(t, jobstreamtest.Server(t, "--demo=true")), jobstream.WithTokenFunc(function.next))
	submit[any](t, client, "demo.echo", nil)
	for function.calls.Load() < 2 { // The concurrent lookup of the boot id takes a token, once.
		time.Sleep(time.Millisecond)
	}
	function.set("old", rightToken)
	if result, err := jobstream.Run[int](within(t), client, "demo.echo", 1); result != 1 || err != nil {
		t.Error(result, err)
	}
	function.set("old")
	_, err := jobstream.Run[int](within(t), client, "demo.echo", 1)
	if !errors.As(err, new(*jobstream.Unauthenticated)) || function.calls.Load() != 2+2+2 {
		t.Errorf("%T %v after %d tokens", err, err, function.calls.Load())
	}
}

// deniedAdmin accepts jobs and denies the calls of operators.
type deniedAdmin struct {
	jobstreamv1.UnimplementedAdminServiceServer
	jobstreamv1.UnimplementedJobServiceServer
	lookups atomic.Int32
}

func (s *deniedAdmin) GetServerInfo(context.Context, *jobstreamv1.GetServerInfoRequest) (*jobstreamv1.GetServerInfoResponse, error) {
	s.lookups.Add(1)
	return nil, status.Error(codes.PermissionDenied, "no grant")
}

func (s *deniedAdmin) Submit(_ context.Context, request *jobstreamv1.SubmitRequest) (*jobstreamv1.SubmitResponse, error) {
	for s.lookups.Load() == 0 { // The lookup is concurrent.
		time.Sleep(time.Millisecond)
	}
	return &jobstreamv1.SubmitResponse{JobId: request.Job.JobId}, nil
}

func TestDeniedLookupOfTheBootIDIsNotRepeated(t *testing.T) {
	denied := &deniedAdmin{}
	client := fakeServer(t, func(s *grpc.Server) {
		jobstreamv1.RegisterAdminServiceServer(s, denied)
		jobstreamv1.RegisterJobServiceServer(s, denied)
	})
	for range 3 {
		submit[any](t, client, "any", nil)
	}
	if lookups := denied.lookups.Load(); lookups != 1 {
		t.Error(lookups)
	}
}

// expiringWatch ends the first stream of a watch because its credential has expired. It records the tokens.
type expiringWatch struct {
	jobstreamv1.UnimplementedJobServiceServer
	tokens chan string
}

func (s *expiringWatch) WatchResult(_ *jobstreamv1.WatchResultRequest, stream grpc.ServerStreamingServer[jobstreamv1.WatchResultResponse]) error {
	headers, _ := metadata.FromIncomingContext(stream.Context())
	s.tokens <- strings.Join(headers["authorization"], ", ")
	if len(s.tokens) > 1 {
		return status.Error(codes.NotFound, "the end of the test")
	}
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	info := &errdetails.ErrorInfo{Reason: "CREDENTIAL_EXPIRED", Domain: "jobstream"}
	expired, err := status.New(codes.Unavailable, "the credential has expired").WithDetails(info)
	return errors.Join(err, expired.Err())
}

func TestWatchWhoseCredentialExpiresResumesWithAnotherToken(t *testing.T) {
	server := &expiringWatch{tokens: make(chan string, 2)}
	address := fakeServer(t, func(s *grpc.Server) { jobstreamv1.RegisterJobServiceServer(s, server) }).Address()
	client := connect(t, address, jobstream.WithTokenFunc(newTokens("first", "second").next))
	for _, err := range client.Job("0190c0de-0000-7000-8000-000000000000").Watch(within(t)) {
		if !strings.Contains(err.Error(), "the end of the test") {
			t.Error(err)
		}
	}
	if first, second := <-server.tokens, <-server.tokens; first != "Bearer first" || second != "Bearer second" {
		t.Error(first, second)
	}
}

func TestEachConnectionMayBeRefusedOnce(t *testing.T) {
	server := jobstreamtest.Server(t)
	cut := newProxy(t, tokenProxy(t, server))
	worker, connected := newCountedWorker(connect(t, cut.address(), jobstream.WithTokenFunc(
		newTokens("old", rightToken, "old", rightToken).next)))
	ended := begin(t, worker)
	for range 2 {
		select {
		case <-connected:
			cut.cut()
		case err := <-ended:
			t.Fatal(err)
		}
	}
	job := submit[any](t, server.Client(), "unserved", nil)
	client := connect(t, cut.address(), jobstream.WithTokenFunc(newTokens("old", rightToken, "old", rightToken).next))
	for event, err := range client.Job(job.ID()).Watch(within(t)) {
		if err != nil {
			t.Fatal(err)
		}
		if event.LastSequence() == 1 {
			cut.cut()
			if _, err := job.Cancel(within(t), ""); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func newCountedWorker(client *jobstream.Client) (*jobstream.Worker, <-chan string) {
	connected := make(chan string, 8)
	worker := jobstream.NewWorker(client, "test", jobstream.WithOnConnect(func(id string) { connected <- id }))
	jobstream.Handle(worker, "hold", newHeld().handle)
	return worker, connected
}

func TestFailedTokenFunctionIsRetried(t *testing.T) {
	proxy := tokenProxy(t, jobstreamtest.Server(t, "--demo=true"))
	cause := errors.New("no network")
	client := connect(t, proxy, jobstream.WithTokenFunc(newTokens(cause, cause, rightToken).next))
	if result, err := jobstream.Run[int](within(t), client, "demo.echo", 1); result != 1 || err != nil {
		t.Error(result, err)
	}
	useEverything(t, connect(t, proxy, jobstream.WithTokenFunc(newTokens(cause, "", rightToken).next)))

	tries := jobstream.WithTries(jobstream.Tries{Max: 2, FirstPause: time.Millisecond})
	client = connect(t, proxy, tries, jobstream.WithTokenFunc(newTokens(cause).next))
	_, err := client.Queues(within(t))
	var base *jobstream.Error
	if !errors.As(err, &base) || base.Code != codes.Unavailable || base.Reason != "TOKEN_UNAVAILABLE" || !errors.Is(err, cause) {
		t.Errorf("%T %v", err, err)
	}
}

func TestTokenFunctionGetsTheContextOfTheCall(t *testing.T) {
	type key struct{}
	client := connect(t, "127.0.0.1:1", jobstream.WithTokenFunc(func(ctx context.Context) (string, error) {
		if ctx.Value(key{}) != "here" {
			t.Error("another context")
		}
		<-ctx.Done()
		return "", ctx.Err()
	}))
	ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "here"), 50*time.Millisecond)
	defer cancel()
	if _, err := client.Queues(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%T %v", err, err)
	}
}

func TestTokenThatIsNoHeaderIsRejectedWithoutShowingIt(t *testing.T) {
	for _, bad := range []string{"", "two words-secret", "line\nbreak-secret", "\u00fc-secret"} {
		_, err := jobstream.New("localhost:1", jobstream.WithToken(bad))
		if !errors.As(err, new(*jobstream.InvalidRequest)) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%T %v", err, err)
		}
		tries := jobstream.WithTries(jobstream.Tries{Max: 2, FirstPause: time.Millisecond})
		client := connect(t, "localhost:1", tries, jobstream.WithTokenFunc(newTokens(bad).next))
		_, err = client.Queues(within(t))
		var base *jobstream.Error
		if !errors.As(err, &base) || base.Reason != "TOKEN_UNAVAILABLE" || strings.Contains(err.Error(), "secret") {
			t.Errorf("%T %v", err, err)
		}
	}
}

func TestTokenIsNotSentInPlainTextToAnotherHost(t *testing.T) {
	function := jobstream.WithTokenFunc(newTokens(rightToken).next)
	header := jobstream.WithMetadata(map[string]string{"Authorization": "Basic eDp5"})
	for _, token := range []jobstream.Option{jobstream.WithToken(rightToken), function, header} {
		_, err := jobstream.New("jobs.example:7070", token)
		if err == nil || !strings.Contains(err.Error(), "jobs.example:7070 in plain text") ||
			!strings.Contains(err.Error(), "WithInsecureToken") {
			t.Error(err)
		}
		for _, address := range []string{"localhost:1", "127.1.2.3:1", "http://[::1]:1", "https://jobs.example"} {
			connect(t, address, token)
		}
		connect(t, "jobs.example:7070", token, jobstream.WithInsecureToken())
	}
	t.Setenv("JOBSTREAM_TOKEN", rightToken)
	if _, err := jobstream.New("10.0.0.1:7070"); err == nil || !strings.Contains(err.Error(), "plain text") {
		t.Error(err)
	}
}

func TestInvalidMetadataIsRejected(t *testing.T) {
	for name, value := range map[string]string{"grpc-x": "", "x-bin": "", "x y": "", "x": "a\nb"} {
		_, err := jobstream.New("localhost:1", jobstream.WithMetadata(map[string]string{name: value}))
		if !errors.As(err, new(*jobstream.InvalidRequest)) {
			t.Errorf("%q: %v", name, err)
		}
	}
	both := jobstream.WithMetadata(map[string]string{"Authorization": "Basic eDp5"})
	if _, err := jobstream.New("localhost:1", both, jobstream.WithToken(rightToken)); err == nil {
		t.Error("a token and metadata authorize both")
	}
}

func TestLogOfAWorkerHasNoToken(t *testing.T) {
	proxy := tokenProxy(t, jobstreamtest.Server(t))
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	function := newTokens(errors.New("no network"), "old-secret")
	client := connect(t, proxy, jobstream.WithTokenFunc(function.next))
	worker := jobstream.NewWorker(client, "test", jobstream.WithLogger(logger))
	jobstream.Handle(worker, "hold", newHeld().handle)
	if err := worker.Run(within(t)); !errors.As(err, new(*jobstream.Unauthenticated)) {
		t.Errorf("%T %v", err, err)
	}
	if text := log.String(); strings.Contains(text, "secret") || !strings.Contains(text, "no network") {
		t.Error(text)
	}
}
