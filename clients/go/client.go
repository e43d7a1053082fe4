package jobstream

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// Client calls one server. It is safe for any number of goroutines; make one and share it.
type Client struct {
	address  address
	settings settings
	links    *connections
	jobs     jobstreamv1.JobServiceClient
	boots    *boots
}

// New makes a client of the server at an address: http://host:port, https://host:port for TLS, or host:port. An empty
// one is that of JOBSTREAM_ADDRESS, else http://127.0.0.1:7070.
//
// It does not connect: the first call does. The error is an [InvalidRequest] for an address that cannot be.
func New(address string, options ...Option) (*Client, error) {
	to, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	c := &Client{address: to, settings: defaultSettings()}
	for _, option := range options {
		option(&c.settings)
	}
	c.links, err = newConnections(dialer(to, &c.settings))
	if err != nil {
		return nil, badAddress(to.String(), err.Error())
	}
	c.jobs = jobstreamv1.NewJobServiceClient(c.links)
	c.boots = newBoots(c.links, c.settings.callTimeout)
	return c, nil
}

// Address is where the server is, as in messages.
func (c *Client) Address() string { return c.address.String() }

// Conn is the connection for the generated stubs of package jobstreamv1. Their calls are sent once and their errors are
// those of grpc.
func (c *Client) Conn() grpc.ClientConnInterface { return c.links }

// Close ends the connections and every call on them. Jobs go on.
func (c *Client) Close() error {
	c.links.close()
	return nil
}

// Job is the handle of a job known by its id, whose result is read as what its content type says. [Attach] gives one
// whose result has a type.
func (c *Client) Job(id string) *Job[any] { return Attach[any](c, id) }

// Get is the whole job, as the server holds it.
//
// The error is [JobNotFound], [ResultExpired], or one that any call may have.
func (c *Client) Get(ctx context.Context, id string) (*jobstreamv1.Job, error) {
	answer, err := call(ctx, c, &jobstreamv1.GetJobRequest{JobId: id}, c.jobs.GetJob)
	if err != nil {
		return nil, err
	}
	return answer.Job, nil
}

// call sends a request that may arrive twice, again while the server is away or full, all within the call timeout.
func call[Request, Answer any](
	ctx context.Context, c *Client, request *Request,
	method func(context.Context, *Request, ...grpc.CallOption) (*Answer, error),
) (*Answer, error) {
	limited, cancel := context.WithTimeout(ctx, c.settings.callTimeout)
	defer cancel()
	deadline, _ := limited.Deadline()
	pauses := newBackoff(c.settings.tries.FirstPause, c.settings.tries.LongestPause)
	for tried := 1; ; tried++ {
		answer, err := method(limited, request)
		if err == nil {
			return answer, nil
		}
		err = c.readError(ctx, err)
		if !isTransient(err) {
			return nil, err
		}
		pause := pauses.pause(baseOf(err).RetryAfter)
		if tried >= c.settings.tries.Max || time.Until(deadline) <= pause {
			return nil, givenUp(err, fmt.Sprintf("%d tries", tried))
		}
		if !sleep(ctx, pause) {
			return nil, contextError(ctx.Err())
		}
		comeBack(limited, c.links.first())
	}
}

// readError is the typed error of a call. An unreachable server may come back as another one.
func (c *Client) readError(ctx context.Context, err error) error {
	if c.links.closed() {
		return &Error{Code: codes.Canceled, Message: "the client was closed: make another with jobstream.New"}
	}
	err = readError(ctx, err, c.Address())
	if baseOf(err).Code == codes.Unavailable {
		c.boots.forget()
	}
	return err
}
