package jobstream

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// Client calls one server. It is safe for concurrent use: create one and share it.
type Client struct {
	address  address
	settings settings
	links    *connections
	jobs     jobstreamv1.JobServiceClient
	admin    jobstreamv1.AdminServiceClient
	boots    *bootCache
}

// New creates a client of the server at an address: http://host:port, https://host:port for TLS, or host:port. An empty
// address means the environment variable JOBSTREAM_ADDRESS, else http://127.0.0.1:7070.
//
// New does not connect; the first call does. An invalid address or option is an [InvalidRequest].
func New(address string, options ...Option) (*Client, error) {
	to, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	c := &Client{address: to, settings: defaultSettings()}
	for _, option := range options {
		option(&c.settings)
	}
	dial, err := dialer(to, &c.settings)
	if err != nil {
		return nil, err
	}
	c.links, err = newConnections(dial)
	if err != nil {
		return nil, badAddress(to.String(), err.Error())
	}
	c.jobs = jobstreamv1.NewJobServiceClient(c.links)
	c.admin = jobstreamv1.NewAdminServiceClient(c.links)
	c.boots = newBootCache(c.admin, c.settings.callTimeout)
	return c, nil
}

// Address returns the address of the server as a URL.
func (c *Client) Address() string { return c.address.String() }

// Conn returns the connection for the generated stubs of package jobstreamv1. Their calls are not retried and return
// gRPC errors.
func (c *Client) Conn() grpc.ClientConnInterface { return c.links }

// Close closes the connections and ends the calls in flight. Jobs continue.
func (c *Client) Close() error {
	c.links.close()
	return nil
}

// Job returns a handle of the job with this id, a UUID. The content type of its result selects the decoding. Use [Attach]
// for a typed result.
func (c *Client) Job(id string) *Job[any] { return Attach[any](c, id) }

// Get returns the current state of the job with its payload.
//
// The error is [InvalidRequest] if the id is not a UUID, [JobNotFound], [ResultExpired], or an error of any call.
func (c *Client) Get(ctx context.Context, id string) (*JobView, error) {
	if err := checkJobID("job_id", id); err != nil {
		return nil, err
	}
	response, err := call(ctx, c, &jobstreamv1.GetJobRequest{JobId: id}, c.jobs.GetJob)
	if err != nil {
		return nil, err
	}
	return readJob(response.Job), nil
}

// call sends an idempotent request and retries transient errors within the call timeout.
func call[Request, Response any](
	ctx context.Context, c *Client, request *Request,
	method func(context.Context, *Request, ...grpc.CallOption) (*Response, error),
) (*Response, error) {
	limited, cancel := context.WithTimeout(ctx, c.settings.callTimeout)
	defer cancel()
	deadline, _ := limited.Deadline()
	pauses := newBackoff(c.settings.tries.FirstPause, c.settings.tries.LongestPause)
	fresh := newToken{hasFunc: c.settings.hasTokenFunc}
	for attempts := 1; ; attempts++ {
		response, err := method(limited, request)
		if err == nil {
			return response, nil
		}
		err = c.readError(ctx, err)
		if fresh.take(err) {
			continue
		}
		if !isTransient(err) {
			return nil, err
		}
		pause := pauses.pause(baseOf(err).RetryAfter)
		if attempts >= c.settings.tries.Max || time.Until(deadline) <= pause {
			return nil, retriesExhausted(err, fmt.Sprintf("%d tries", attempts))
		}
		if !sleep(ctx, pause) {
			return nil, contextError(ctx.Err())
		}
		awaitReconnect(limited, c.links.first())
	}
}

// callOnce sends a request within the call timeout, again only if it was refused and a new token may help.
func callOnce[Request, Response any](
	ctx context.Context, c *Client, request *Request,
	method func(context.Context, *Request, ...grpc.CallOption) (*Response, error),
) (*Response, error) {
	limited, cancel := context.WithTimeout(ctx, c.settings.callTimeout)
	defer cancel()
	fresh := newToken{hasFunc: c.settings.hasTokenFunc}
	for {
		awaitReconnect(limited, c.links.first())
		response, err := method(limited, request)
		if err == nil {
			return response, nil
		}
		if err = c.readError(ctx, err); !fresh.take(err) {
			return nil, err
		}
	}
}

// readError converts the error of a call. It invalidates the boot id if the server is unavailable.
func (c *Client) readError(ctx context.Context, err error) error {
	if c.links.closed() {
		return &Error{Code: codes.Canceled, Message: "the client is closed: create a new one with jobstream.New"}
	}
	err = readError(ctx, err, c.Address())
	if baseOf(err).Code == codes.Unavailable {
		c.boots.invalidate()
	}
	return err
}
