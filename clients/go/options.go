package jobstream

import (
	"context"
	"crypto/tls"
	"maps"
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
	// ca is that of WithCA, and certificate returns the pair of WithClientCertificate; nil without them.
	ca          *pemSource
	certificate func() (tls.Certificate, error)
	// token returns the token; nil without one. hasTokenFunc is set if it is a function of the program.
	token                  tokenFunc
	hasTokenFunc           bool
	isInsecureTokenAllowed bool
	// metadata is a function, as the token is, so that a printed client does not have the headers.
	metadata    func() map[string]string
	dialOptions []grpc.DialOption
	// interceptors are called around each submit; the first is the outermost.
	interceptors []SubmitInterceptor
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
		pingAfter:   20 * time.Second,
		pingTimeout: 10 * time.Second,

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

// WithKeepalive sets the idle time after which an HTTP/2 PING is sent while calls are open, at least 10 s, and the time
// to wait for its response before the connection is closed. Default 20 s, 10 s.
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

// WithTLS sets the TLS configuration for an https address. Default: the root certificates of the system. [WithCA] and
// [WithClientCertificate] are enough for most programs.
func WithTLS(config *tls.Config) Option {
	return func(s *settings) { s.tls = config }
}

// WithCA sets the certificates of the authorities to trust at an https address, in PEM format. Default: JOBSTREAM_CA,
// the path of a PEM file, else the authorities of the system.
func WithCA(pem []byte) Option {
	return func(s *settings) { s.ca = pemContent("the CA certificate", pem) }
}

// WithCAFile is [WithCA] with a file. [New] reads it.
func WithCAFile(path string) Option {
	return func(s *settings) { s.ca = pemFile("the CA certificate", path) }
}

// WithClientCertificate sets the certificate of this client, followed by intermediate ones, and its private key, in PEM
// format, for a server that requires one.
func WithClientCertificate(certificate, key []byte) Option {
	from, withKey := pemContent("the client certificate", certificate), pemContent("the client key", key)
	return func(s *settings) {
		s.certificate = func() (tls.Certificate, error) { return readPair(from, withKey) }
	}
}

// WithClientCertificateFiles is [WithClientCertificate] with files. [New] reads them, and each connection reads them again,
// so that they can be replaced while the program runs. A file that cannot be used is ignored until it can.
func WithClientCertificateFiles(certificate, key string) Option {
	from, withKey := pemFile("the client certificate", certificate), pemFile("the client key", key)
	return func(s *settings) {
		s.certificate = func() (tls.Certificate, error) { return readPair(from, withKey) }
	}
}

// WithToken sets the bearer token of each call and each stream. Default: JOBSTREAM_TOKEN. A token is not sent in plain
// text to another host than this one, see [WithInsecureToken].
func WithToken(token string) Option {
	return func(s *settings) { s.token, s.hasTokenFunc = staticToken(token), false }
}

// WithTokenFunc sets a function that returns the current bearer token. It is called for each call and each stream with
// the context of the call, by several goroutines at once; its result is not cached. A call that is refused as
// [Unauthenticated] is repeated once with a new token. An error of the function is an [Unavailable], which is retried,
// and so is an empty token, or one with other characters than printable ASCII without spaces.
func WithTokenFunc(token func(ctx context.Context) (string, error)) Option {
	return func(s *settings) { s.token, s.hasTokenFunc = token, token != nil }
}

// WithInsecureToken allows to send the token, or the metadata authorization, in plain text, to an http address, to another
// host than this one.
func WithInsecureToken() Option {
	return func(s *settings) { s.isInsecureTokenAllowed = true }
}

// WithMetadata sets further headers of each call and each stream, such as those for a proxy. The header authorization is
// sent where a token would be, see [WithInsecureToken].
func WithMetadata(headers map[string]string) Option {
	headers = maps.Clone(headers)
	return func(s *settings) { s.metadata = func() map[string]string { return headers } }
}

// WithDialOptions adds gRPC dial options after those of this package: credentials, interceptors, stats handlers.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) { s.dialOptions = append(s.dialOptions, options...) }
}
