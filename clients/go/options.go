package jobstream

import (
	"crypto/tls"
	"math"
	"time"

	"google.golang.org/grpc"
)

// settings are the options of a client.
type settings struct {
	callTimeout time.Duration
	tries       Tries
	patience    time.Duration
	pingAfter   time.Duration
	pingTimeout time.Duration
	// messageBytesMax is the receive limit.
	messageBytesMax int
	tls             *tls.Config
	dialOptions     []grpc.DialOption
}

// Tries is the retry policy of calls: exponential back-off from FirstPause to LongestPause with full jitter, plus the
// delay requested by the server.
type Tries struct {
	// Max is the number of attempts including the first.
	Max int
	// FirstPause is the largest back-off before the first retry.
	FirstPause time.Duration
	// LongestPause is the largest back-off before any retry.
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

// Option is an option of a [Client].
type Option func(*settings)

// WithCallTimeout sets the deadline of one call including its retries. It does not limit waits for a result and
// watches. Default 30 s.
func WithCallTimeout(timeout time.Duration) Option {
	return func(s *settings) { s.callTimeout = timeout }
}

// WithTries sets the retry policy of calls. Zero fields keep their defaults: 6 attempts, 100 ms, 5 s.
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

// WithPatience sets how long a watch or a wait for a result tries to reconnect to an unavailable server. Each response
// restarts the time. Default 5 min.
func WithPatience(patience time.Duration) Option {
	return func(s *settings) { s.patience = patience }
}

// WithKeepalive sets the idle time after which an HTTP/2 PING is sent, at least 10 s, and the time to wait for its
// response before the connection is closed. Default 10 s, 5 s.
func WithKeepalive(after, timeout time.Duration) Option {
	return func(s *settings) { s.pingAfter, s.pingTimeout = after, timeout }
}

// WithMessageBytesMax sets the receive limit in bytes, at least 64 KiB. Default 16 MiB, several times the largest
// message that a server sends by default. A worker reports it to the server, which assigns larger jobs to other
// workers: use this option, not [WithDialOptions].
func WithMessageBytesMax(bytes int) Option {
	return func(s *settings) { s.messageBytesMax = max(messageBytesMin, min(bytes, math.MaxInt32)) }
}

// messageBytesMin is the smallest receive limit that a server accepts from a worker.
const messageBytesMin = 64 << 10

// WithTLS sets the TLS configuration for an https address. Default: the root certificates of the system.
func WithTLS(config *tls.Config) Option {
	return func(s *settings) { s.tls = config }
}

// WithDialOptions adds gRPC dial options after those of this package: credentials, interceptors, stats handlers.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) { s.dialOptions = append(s.dialOptions, options...) }
}
