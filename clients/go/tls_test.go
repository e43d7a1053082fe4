package jobstream_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptest"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"

	"github.com/jobstream/jobstream/clients/go"
	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// TestHTTPSIsTLS calls a TLS server that is not a jobstream server.
func TestHTTPSIsTLS(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&certified.TLS.Certificates[0])))
	jobstreamv1.RegisterJobServiceServer(server, jobstreamv1.UnimplementedJobServiceServer{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	trusted := x509.NewCertPool()
	trusted.AddCert(certified.Certificate())
	codeOf := func(config *tls.Config) codes.Code {
		options := []jobstream.Option{jobstream.WithTLS(config), jobstream.WithTries(jobstream.Tries{Max: 1})}
		client, err := jobstream.New("https://"+listener.Addr().String(), options...)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		var base *jobstream.Error
		if _, err := client.Job("0190c0de-0000-7000-8000-000000000000").State(within(t)); !errors.As(err, &base) {
			t.Fatalf("%T %v", err, err)
		}
		return base.Code
	}
	if code := codeOf(&tls.Config{RootCAs: trusted}); code != codes.Unimplemented {
		t.Error(code)
	}
	if code := codeOf(nil); code != codes.Unavailable {
		t.Error(code)
	}
}
