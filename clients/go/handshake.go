package jobstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
)

// The reasons of a failed TLS handshake. The server sends reasonTLSRequired in answer to plain text.
const (
	reasonUnknownCA          = "UNKNOWN_CA"
	reasonInvalidCertificate = "INVALID_CERTIFICATE"
	reasonClientCertificate  = "CLIENT_CERTIFICATE"
	reasonNotTLS             = "NOT_TLS"
	reasonTLSRequired        = "TLS_REQUIRED"
	reasonTLSFailed          = "TLS_FAILED"
)

const clientCertificateAdvice = ": set WithClientCertificate to one of an authority that the server trusts"

// explainedTLS is TLS whose failed handshakes have a reason. Package grpc passes on the text of an error only, so the
// text begins with the reason.
type explainedTLS struct {
	credentials.TransportCredentials
}

func (t explainedTLS) ClientHandshake(
	ctx context.Context, authority string, plain net.Conn,
) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := t.TransportCredentials.ClientHandshake(ctx, authority, plain)
	if err != nil && ctx.Err() == nil {
		reason, why := explainHandshake(err)
		err = fmt.Errorf("[%s] %s", reason, strings.ReplaceAll(why, `"`, "'"))
	}
	return conn, info, err
}

func (t explainedTLS) Clone() credentials.TransportCredentials {
	return explainedTLS{t.TransportCredentials.Clone()}
}

func explainHandshake(err error) (reason, why string) {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &unknown):
		return reasonUnknownCA, "its certificate is from an authority (CA) that this client does not trust: set WithCAFile, " +
			"or JOBSTREAM_CA, to the PEM file of the right one"
	case errors.As(err, &name):
		return reasonInvalidCertificate, fmt.Sprintf("its certificate is not for %s, but for %s: use one of these names",
			name.Host, namesOf(name.Certificate))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && time.Now().Before(invalid.Cert.NotBefore):
		return reasonInvalidCertificate, "its certificate is not valid yet: check the clocks of both machines"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return reasonInvalidCertificate,
			"its certificate has expired, or the clock of this machine is wrong: renew the certificate"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return reasonInvalidCertificate, fmt.Sprintf("its certificate is invalid: %v", err)
	case errors.As(err, &record):
		return reasonNotTLS, "it answers in plain text: use http://, or the address of its TLS"
	case errors.Is(err, io.EOF):
		return reasonTLSFailed, "it closed the connection during the TLS handshake: does it serve TLS?"
	}
	if why := explainAlert(err.Error()); why != "" {
		return reasonClientCertificate, why
	}
	return reasonTLSFailed, fmt.Sprintf("the TLS handshake failed: %v", err)
}

func namesOf(certificate *x509.Certificate) string {
	names := append([]string(nil), certificate.DNSNames...)
	for _, ip := range certificate.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no name"
	}
	return strings.Join(names, ", ")
}

var (
	// alert matches an alert of the server about the client's certificate. After a handshake of TLS 1.3 it is the first
	// thing that the client reads.
	alert = regexp.MustCompile(
		`remote error: tls: ((?:bad|unknown|expired|revoked|unsupported) certificate\b[a-z ]*|access denied|error decrypting message)`)
	required = regexp.MustCompile(`remote error: tls: certificate required`)
	// explained matches the text of a failed handshake in an error of package grpc.
	explained = regexp.MustCompile(`authentication handshake failed: \[([A-Z_]+)\] (.*?)"?$`)
	// closed matches the text of a connection that the server closed before it sent anything, as a TLS server does after
	// plain text, or that did not begin like HTTP/2.
	closed = regexp.MustCompile(`error reading server preface: .*(EOF|reset by peer|frame too large)`)
)

// explainAlert explains an alert about the client's certificate. It returns "" for any other text.
func explainAlert(text string) string {
	if required.MatchString(text) {
		return "it requires a client certificate" + clientCertificateAdvice
	}
	if found := alert.FindStringSubmatch(text); found != nil {
		return "it refused the client certificate, " + found[1] + clientCertificateAdvice
	}
	return ""
}

// handshakeError returns the error of a failed handshake by the text of package grpc; nil if the cause is another one.
func handshakeError(text string, to string) error {
	reason, why := reasonClientCertificate, explainAlert(text)
	if found := explained.FindStringSubmatch(text); found != nil {
		reason, why = found[1], found[2]
	}
	if why == "" {
		return nil
	}
	code := codes.Unavailable
	if reason == reasonClientCertificate {
		code = codes.Unauthenticated
	}
	return unusable(code, reason, why, to)
}

func unusable(code codes.Code, reason, why, to string) error {
	return typed(&Error{Code: code, Reason: reason, Message: fmt.Sprintf("cannot use the server at %s: %s", to, why)})
}

// withTLSHint adds a hint to the text if a server of TLS may have refused plain text.
func withTLSHint(text, to string) string {
	if strings.HasPrefix(to, "http://") && closed.MatchString(text) {
		return text + " (if it serves TLS, its address begins with https://)"
	}
	return text
}

// isOfCertificates reports whether the certificates of the server or the address prevent every call: a retry cannot help.
func isOfCertificates(err error) bool {
	switch baseOf(err).Reason {
	case reasonUnknownCA, reasonInvalidCertificate, reasonNotTLS, reasonTLSRequired:
		return true
	default:
		return false
	}
}
