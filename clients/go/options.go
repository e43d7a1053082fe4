package jobstream

import (
	"crypto/tls"
	"math"
	"time"

	"google.golang.org/grpc"
)

// settings are every bound of the client.
type settings struct {
	callTimeout time.Duration
	tries       Tries
	patience    time.Duration
	pingAfter   time.Duration
	pingTimeout time.Duration
	// messageBytesMax is the largest message that is read.
	messageBytesMax int
	tls             *tls.Config
	dialOptions     []grpc.DialOption
}

// Tries is how calls are tried again. A pause is chance between nothing and a length that doubles from FirstPause to
// LongestPause, plus what the server asks for.
type Tries struct {
	// Max is the tries in all, the first included.
	Max int
	// FirstPause is the longest pause before the second try.
	FirstPause time.Duration
	// LongestPause is the longest before any try, unless the server asks for more.
	LongestPause time.Duration
}

func defaultSettings() settings {
	return settings{
		callTimeout: 30 * time.Second,
		tries:       Tries{Max: 6, FirstPause: 100 * time.Millisecond, LongestPause: 5 * time.Second},
		patience:    5 * time.Minute,
		pingAfter:   10 * time.Second,
		pingTimeout: 5 * time.Second,

		messageBytesMax: defaultMessageBytesMax,
	}
}

// Option changes a bound of a [Client].
type Option func(*settings)

// WithCallTimeout is the longest time of one call with all its tries. Waits for results and watches are not bounded by
// it, only their single steps. Default 30 s.
func WithCallTimeout(timeout time.Duration) Option {
	return func(s *settings) { s.callTimeout = timeout }
}

// WithTries is how often a call is tried. What is zero stays at its default: 6 tries, 100 ms, 5 s.
func WithTries(tries Tries) Option {
	return func(s *settings) {
		if tries.Max > 0 {
			s.tries.Max = tries.Max
		}
		if tries.FirstPause > 0 {
			s.tries.FirstPause = tries.FirstPause
		}
		if tries.LongestPause > 0 {
			s.tries.LongestPause = tries.LongestPause
		}
	}
}

// WithPatience is how long a watch or a wait for a result looks for a server that is away before it gives up. Any word
// of the server starts it anew. Default 5 min.
func WithPatience(patience time.Duration) Option {
	return func(s *settings) { s.patience = patience }
}

// WithKeepalive has an HTTP/2 PING sent after each silence of the first length, at least 10 s, and a connection given up
// that leaves it unanswered for the second. Default 10 s, 5 s.
func WithKeepalive(after, timeout time.Duration) Option {
	return func(s *settings) { s.pingAfter, s.pingTimeout = after, timeout }
}

// WithMessageBytesMax is the largest message that is read, in bytes, at least 64 KiB. Default 16 MiB, several times what a
// server sends by default. A worker says it to the server, which gives jobs that do not fit to others: set it here, not
// with [WithDialOptions].
func WithMessageBytesMax(bytes int) Option {
	return func(s *settings) { s.messageBytesMax = max(messageBytesMin, min(bytes, math.MaxInt32)) }
}

// messageBytesMin is the least that a server lets a worker read.
const messageBytesMin = 64 << 10

// WithTLS is the TLS configuration of an https address. Default: the system's roots.
func WithTLS(config *tls.Config) Option {
	return func(s *settings) { s.tls = config }
}

// WithDialOptions passes options to grpc, after those of this package: credentials, interceptors, stats handlers.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) { s.dialOptions = append(s.dialOptions, options...) }
}
