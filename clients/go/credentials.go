package jobstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	tokenVariable = "JOBSTREAM_TOKEN"
	authorization = "authorization"
	// reasonTokenFunction is the reason of the error of a failed token function.
	reasonTokenFunction = "TOKEN_UNAVAILABLE"
)

var (
	// tokenText is printable ASCII without spaces.
	tokenText   = regexp.MustCompile(`^[!-~]+$`)
	headerName  = regexp.MustCompile(`^[0-9a-z_.-]+$`)
	headerValue = regexp.MustCompile(`^[ -~]*$`)
)

// tokenFunc returns the current token.
type tokenFunc func(ctx context.Context) (string, error)

// headers are the token and the metadata of each call. A printed client has neither: pointers and functions are printed
// as addresses.
type headers struct {
	address  address
	metadata []string
	token    tokenFunc
	// hasAuthorization is set if the metadata authorizes the caller.
	hasAuthorization bool
}

// newHeaders checks the token and the metadata. It returns nil if there is nothing to add to a call.
func newHeaders(to address, s *settings) (*headers, error) {
	h := &headers{address: to, token: s.token}
	if s.metadata != nil {
		if err := h.setMetadata(s.metadata()); err != nil {
			return nil, err
		}
	}
	if given := os.Getenv(tokenVariable); h.token == nil && given != "" {
		h.token = staticToken(given)
	}
	isPlain := !to.isTLS && !s.isInsecureTokenAllowed && !isLoopback(to.host)
	switch {
	case h.token == nil && h.metadata == nil:
		return nil, nil
	case h.token != nil && h.hasAuthorization:
		return nil, invalid("metadata", "the metadata has authorization and there is a token too: give one of them")
	case isPlain && h.hasAuthorization:
		return nil, notInPlainText("metadata", "the metadata authorization", to)
	case isPlain && h.token != nil:
		return nil, notInPlainText("token", "a token", to)
	case h.token != nil && !s.hasTokenFunc:
		token, _ := h.token(context.Background()) // A static token has no error.
		if _, err := bearer(token); err != nil {
			return nil, invalid("token", err.Error())
		}
	}
	return h, nil
}

func notInPlainText(field, what string, to address) error {
	return invalid(field, fmt.Sprintf(
		"%s is not sent to %s in plain text: use https://, or allow it with WithInsecureToken", what, to.host))
}

func (h *headers) setMetadata(given map[string]string) error {
	for name, value := range given {
		name = strings.ToLower(name)
		if !headerName.MatchString(name) || strings.HasPrefix(name, "grpc-") || strings.HasSuffix(name, "-bin") {
			return invalid("metadata", fmt.Sprintf(
				"invalid name %q: use letters, digits, '_', '.' and '-'; no grpc-* and no *-bin", name))
		}
		if !headerValue.MatchString(value) {
			return invalid("metadata", fmt.Sprintf("the value of %q has other characters than printable ASCII", name))
		}
		h.hasAuthorization = h.hasAuthorization || name == authorization
		h.metadata = append(h.metadata, name, value)
	}
	return nil
}

func staticToken(token string) tokenFunc {
	return func(context.Context) (string, error) { return token, nil }
}

func isLoopback(hostPort string) bool {
	host, _, _ := net.SplitHostPort(hostPort) // An address has a port.
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// bearer returns the value of the authorization header. Its error does not contain the token.
func bearer(token string) (string, error) {
	token = strings.TrimSpace(token)
	if !tokenText.MatchString(token) {
		return "", errors.New("the token is empty or has other characters than printable ASCII without spaces")
	}
	return "Bearer " + token, nil
}

// currentBearer returns the value of the authorization header with the current token. An unusable token is an error of
// the token function: the next one may be usable, for example once a file is written to its end.
func (h *headers) currentBearer(ctx context.Context) (string, error) {
	token, err := h.token(ctx)
	var value string
	if err == nil {
		value, err = bearer(token)
	}
	switch {
	case err == nil:
		return value, nil
	case ctx.Err() != nil:
		return "", status.FromContextError(ctx.Err()).Err()
	default:
		return "", &Unavailable{&Error{
			Code: codes.Unavailable, Reason: reasonTokenFunction, cause: err,
			Message: fmt.Sprintf("the token function of the client of %s failed: %v", h.address, err),
		}}
	}
}

// add returns a context whose calls have the headers.
func (h *headers) add(ctx context.Context) (context.Context, error) {
	if len(h.metadata) > 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, h.metadata...)
	}
	if h.token == nil {
		return ctx, nil
	}
	value, err := h.currentBearer(ctx)
	if err != nil {
		return nil, err
	}
	return metadata.AppendToOutgoingContext(ctx, authorization, value), nil
}

// dialOptions adds the headers to each call and each stream.
func (h *headers) dialOptions() []grpc.DialOption {
	if h == nil {
		return nil
	}
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(h.unary), grpc.WithChainStreamInterceptor(h.stream)}
}

func (h *headers) unary(
	ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker,
	options ...grpc.CallOption,
) error {
	ctx, err := h.add(ctx)
	if err != nil {
		return err
	}
	return invoke(ctx, method, request, reply, conn, options...)
}

func (h *headers) stream(
	ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer,
	options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	ctx, err := h.add(ctx)
	if err != nil {
		return nil, err
	}
	return open(ctx, desc, conn, method, options...)
}

// isUnsent reports whether the client found the error before it sent the call: it has no token.
func isUnsent(err error) bool {
	var base *Error
	return errors.As(err, &base)
}

// newToken decides whether a call that was refused as Unauthenticated is repeated: once, if a function returns the
// token.
type newToken struct {
	hasFunc, isTaken bool
}

// take reports whether the call is to be repeated now.
func (t *newToken) take(err error) bool {
	if !t.hasFunc || t.isTaken || !errors.As(err, new(*Unauthenticated)) {
		return false
	}
	t.isTaken = true
	return true
}

// reset records that the server accepted the token.
func (t *newToken) reset() { t.isTaken = false }
