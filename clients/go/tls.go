package jobstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
)

const caVariable = "JOBSTREAM_CA"

// tlsConfig returns the TLS configuration of an https address.
func tlsConfig(s *settings) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.tls != nil {
		config = s.tls.Clone()
	}
	ca := s.ca
	if file := os.Getenv(caVariable); ca == nil && config.RootCAs == nil && file != "" {
		ca = fromFile(file)
	}
	if ca != nil {
		pem, err := ca()
		if err != nil {
			return nil, invalid("ca", fmt.Sprintf("the CA certificate cannot be read: %v", err))
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, invalid("ca", "the CA certificate is unusable: it has no certificate in PEM format")
		}
	}
	if s.certificate != nil {
		pair, err := s.certificate()
		switch {
		case errors.As(err, new(*fs.PathError)):
			return nil, invalid("client_certificate", fmt.Sprintf("the client certificate cannot be read: %v", err))
		case err != nil:
			return nil, invalid("client_certificate", fmt.Sprintf("the client certificate or its key is unusable: %v", err))
		}
		config.GetClientCertificate = renewed(s.certificate, &pair)
	}
	return config, nil
}

// renewed returns a function that reads the client certificate for each connection. While the files cannot be used, for
// example because one of them was replaced and the other was not yet, it returns the last pair that could.
func renewed(
	read func() (tls.Certificate, error), first *tls.Certificate,
) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	var last atomic.Pointer[tls.Certificate]
	last.Store(first)
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if pair, err := read(); err == nil {
			last.Store(&pair)
		}
		return last.Load(), nil
	}
}

// checkPlainText returns an error if there are TLS options for an http address.
func checkPlainText(to address, s *settings) error {
	name := ""
	switch {
	case s.ca != nil:
		name = "ca"
	case s.certificate != nil:
		name = "client_certificate"
	default:
		return nil
	}
	return invalid(name, fmt.Sprintf("it is set, but %s is plain text: use https://%s", to, to.host))
}

func fromFile(path string) func() ([]byte, error) {
	return func() ([]byte, error) { return os.ReadFile(path) }
}
