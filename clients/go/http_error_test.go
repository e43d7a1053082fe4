package jobstream_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/jobstream/jobstream/clients/go"
	"github.com/jobstream/jobstream/clients/go/jobstreamtest"
)

// httpProxy is an HTTP/2 proxy that responds with an HTML page while it has failures left.
type httpProxy struct {
	*httptest.Server
	status   int
	failures atomic.Int32
	calls    atomic.Int32
	target   http.Handler
}

// newHTTPProxy starts a proxy of the server at this address. It responds to the first calls with the status.
func newHTTPProxy(t *testing.T, address string, status int, failures int32) *httpProxy {
	t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	forward := httputil.NewSingleHostReverseProxy(target)
	forward.Transport = &http.Transport{Protocols: &protocols}
	forward.FlushInterval = -1
	p := &httpProxy{status: status, target: forward}
	p.failures.Store(failures)
	p.Server = httptest.NewUnstartedServer(p)
	p.Config.Protocols = &protocols
	p.Start()
	t.Cleanup(func() {
		p.CloseClientConnections()
		p.Close()
	})
	return p
}

func (p *httpProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.calls.Add(1)
	if p.failures.Add(-1) < 0 {
		p.target.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(p.status)
	_, _ = w.Write([]byte("<html><h1>no</h1></html>")) // The client may have closed the stream.
}

const allCalls = 1 << 30

func TestHTTPStatusOfAProxyIsMappedAsGRPCSpecifies(t *testing.T) {
	for status, expected := range map[int]codes.Code{
		200: codes.Unknown, 400: codes.Internal, 401: codes.Unauthenticated, 403: codes.PermissionDenied,
		404: codes.Unimplemented, 413: codes.Unknown, 429: codes.Unavailable, 500: codes.Unknown, 502: codes.Unavailable,
		503: codes.Unavailable, 504: codes.Unavailable,
	} {
		proxy := newHTTPProxy(t, "http://127.0.0.1:1", status, allCalls)
		client := impatient(t, proxy.URL)
		_, err := client.Job("0190c0de-0000-7000-8000-000000000000").State(within(t))
		var base *jobstream.Error
		if !errors.As(err, &base) || base.Code != expected {
			t.Errorf("%d: %T %v", status, err, err)
			continue
		}
		if !strings.Contains(err.Error(), proxy.URL) || !strings.Contains(err.Error(), "HTTP status "+strconv.Itoa(status)) {
			t.Errorf("%d: %v", status, err)
		}
		expectedCalls := int32(1)
		if expected == codes.Unavailable {
			expectedCalls = 3
		}
		if calls := proxy.calls.Load(); calls != expectedCalls || errors.As(err, new(*jobstream.Unavailable)) != (expectedCalls > 1) {
			t.Errorf("%d: %d calls, %T %v", status, calls, err, err)
		}
	}
}

func TestTooLargeHeadersFailACallAtOnce(t *testing.T) {
	server := jobstreamtest.Server(t)
	proxy := newHTTPProxy(t, server.Address, http.StatusRequestHeaderFieldsTooLarge, allCalls)
	large := strings.Repeat("x", 9_000)
	for limit, client := range map[string]*jobstream.Client{
		"limit 8192 bytes": connect(t, server.Address, jobstream.WithToken(large)),
		"(limit 8192":      connect(t, server.Address, jobstream.WithMetadata(map[string]string{"x-large": large})),
		"HTTP status 431":  connect(t, proxy.URL),
	} {
		_, err := client.Queues(within(t))
		var base *jobstream.Error
		if !errors.As(err, &base) || base.Code != codes.Unknown || strings.Contains(err.Error(), "gave up") {
			t.Errorf("%T %v", err, err)
		}
		for _, part := range []string{"headers of the call", client.Address(), limit, "shorten the token or the metadata"} {
			if err != nil && !strings.Contains(err.Error(), part) {
				t.Errorf("%q is not in %v", part, err)
			}
		}
	}
}

func TestRetryableHTTPStatusDoesNotFailACall(t *testing.T) {
	proxy := newHTTPProxy(t, jobstreamtest.Server(t, "--demo=true").Address, http.StatusServiceUnavailable, 1)
	client := impatient(t, proxy.URL)
	if result, err := jobstream.Run[string](within(t), client, "demo.echo", "through"); result != "through" || err != nil {
		t.Error(result, err)
	}
	proxy.failures.Store(1)
	job := submit[string](t, client, "demo.echo", "through")
	proxy.failures.Store(1)
	if result, err := job.Result(within(t)); result != "through" || err != nil {
		t.Error(result, err)
	}
	proxy.failures.Store(1)
	for _, err := range job.Watch(within(t)) {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestHTTPStatusEndsAWorkerUnlessARetryMayHelp(t *testing.T) {
	server := jobstreamtest.Server(t)
	for status, expected := range map[int]codes.Code{
		401: codes.Unauthenticated, 403: codes.PermissionDenied, 404: codes.Unimplemented,
	} {
		proxy := newHTTPProxy(t, server.Address, status, allCalls)
		worker := jobstream.NewWorker(impatient(t, proxy.URL), "test")
		jobstream.Handle(worker, "hold", newHeld().handle)
		var base *jobstream.Error
		if err := worker.Run(within(t)); !errors.As(err, &base) || base.Code != expected || !strings.Contains(err.Error(), strconv.Itoa(status)) {
			t.Errorf("%d: %T %v", status, err, err)
		}
	}
	proxy := newHTTPProxy(t, server.Address, http.StatusBadGateway, 2)
	connected := make(chan string, 1)
	worker := jobstream.NewWorker(impatient(t, proxy.URL), "test", jobstream.WithOnConnect(func(id string) { connected <- id }))
	jobstream.Handle(worker, "hold", newHeld().handle)
	begin(t, worker)
	<-connected
}
