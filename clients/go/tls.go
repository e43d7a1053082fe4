package jobstream

import (
	"bytes"
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
		ca = pemFile("the CA certificate", file)
	}
	if ca != nil {
		pem, err := ca.read(certificateBlock)
		if err != nil {
			return nil, invalid("ca", err.Error())
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, invalid("ca", fmt.Sprintf("%s is unusable: its certificate is damaged", ca))
		}
	}
	if s.certificate != nil {
		pair, err := s.certificate()
		if err != nil {
			return nil, invalid("client_certificate", err.Error())
		}
		config.GetClientCertificate = renewed(s.certificate, &pair)
	}
	return config, nil
}

// The ends of the first lines of PEM blocks.
const (
	certificateBlock = "CERTIFICATE-----"
	keyBlock         = "PRIVATE KEY-----"
	encryptedBlock   = "ENCRYPTED PRIVATE KEY-----"
)

// pemSource is a PEM file, or its content.
type pemSource struct {
	// what describes the content, such as "the client key". file is the path; empty for a content.
	what, file string
	content    []byte
}

func pemFile(what, file string) *pemSource { return &pemSource{what: what, file: file} }

func pemContent(what string, content []byte) *pemSource {
	return &pemSource{what: what, content: content}
}

func (p *pemSource) String() string {
	if p.file == "" {
		return p.what
	}
	return fmt.Sprintf("%s %q", p.what, p.file)
}

// read returns the content. It has a block whose first line ends with this text.
func (p *pemSource) read(block string) ([]byte, error) {
	content := p.content
	if p.file != "" {
		read, err := os.ReadFile(p.file)
		if path := (*fs.PathError)(nil); errors.As(err, &path) {
			err = path.Err
		}
		if err != nil {
			return nil, fmt.Errorf("%s cannot be read: %w", p, err)
		}
		content = read
	}
	switch {
	case block == keyBlock && bytes.Contains(content, []byte(encryptedBlock)):
		return nil, fmt.Errorf("%s is unusable: it is encrypted: decrypt it with openssl pkey", p)
	case !bytes.Contains(content, []byte(block)):
		return nil, fmt.Errorf("%s is unusable: it has no -----BEGIN %s", p, block)
	}
	return content, nil
}

// readPair returns a certificate with its key.
func readPair(certificate, key *pemSource) (tls.Certificate, error) {
	certificatePEM, err := certificate.read(certificateBlock)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyPEM, err := key.read(keyBlock)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(certificatePEM, keyPEM)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s and %s are unusable together: %w", certificate, key, err)
	}
	return pair, nil
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
