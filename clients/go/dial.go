package jobstream

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

const (
	version        = "0.1.0"
	defaultAddress = "http://127.0.0.1:7070"
	// connectTimeout is the longest time to establish a connection.
	connectTimeout = 10 * time.Second
	// defaultMessageBytesMax is the default receive limit, several times the largest message that a server sends by
	// default.
	defaultMessageBytesMax = 16 << 20
	// reconnectPause is the initial reconnect back-off, reconnectPauseMax the largest. A worker must reconnect within a
	// second to keep its attempts.
	reconnectPause    = 50 * time.Millisecond
	reconnectPauseMax = 5 * time.Second
)

// address is the address of a server.
type address struct {
	host  string
	isTLS bool
}

func (a address) String() string {
	if a.isTLS {
		return "https://" + a.host
	}
	return "http://" + a.host
}

// parseAddress parses http://host:port, https://host:port or host:port. Empty text means JOBSTREAM_ADDRESS, else the
// default.
func parseAddress(given string) (address, error) {
	if given == "" {
		given = os.Getenv("JOBSTREAM_ADDRESS")
	}
	if given == "" {
		given = defaultAddress
	}
	full := given
	if !strings.Contains(full, "://") {
		full = "http://" + full
	}
	parsed, err := url.Parse(full)
	switch {
	case err != nil:
		return address{}, badAddress(given, "it cannot be parsed")
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		return address{}, badAddress(given, fmt.Sprintf("%s is neither http nor https", parsed.Scheme))
	case parsed.Hostname() == "":
		return address{}, badAddress(given, "it has no host")
	case strings.Trim(parsed.Path, "/") != "" || parsed.RawQuery != "" || parsed.User != nil:
		return address{}, badAddress(given, "it has a path, a query or a user")
	}
	port := parsed.Port()
	if number, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || number == 0) {
		return address{}, badAddress(given, fmt.Sprintf("the port %s is not a number from 1 to 65535", port))
	}
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[parsed.Scheme]
	}
	return address{net.JoinHostPort(parsed.Hostname(), port), parsed.Scheme == "https"}, nil
}

func badAddress(given, why string) error {
	return invalid("address", fmt.Sprintf("invalid address %q, %s: use http://host:port", given, why))
}

// transport returns the TLS of an https address, plain text for any other.
func transport(to address, s *settings) (credentials.TransportCredentials, error) {
	if !to.isTLS {
		return insecure.NewCredentials(), checkPlainText(to, s)
	}
	config, err := tlsConfig(s)
	return explainedTLS{credentials.NewTLS(config)}, err
}

// dialer returns a function that creates lazy connections.
func dialer(to address, s *settings) (func() (*grpc.ClientConn, error), error) {
	transport, err := transport(to, s)
	if err != nil {
		return nil, err
	}
	added, err := newHeaders(to, s)
	if err != nil {
		return nil, err
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithUserAgent("jobstream-go/" + version),
		grpc.WithDisableServiceConfig(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           grpcbackoff.Config{BaseDelay: reconnectPause, Multiplier: 2, Jitter: 0.5, MaxDelay: reconnectPauseMax},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: s.pingAfter, Timeout: s.pingTimeout,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(s.messageBytesMax)),
	}
	options = append(options, added.dialOptions()...)
	options = append(options, s.dialOptions...)
	return func() (*grpc.ClientConn, error) { return grpc.NewClient("dns:///"+to.host, options...) }, nil
}
