package jobstream_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/jobstream/jobstream/clients/go"
	"github.com/jobstream/jobstream/clients/go/jobstreamtest"
)

const local = "DNS:localhost,IP:127.0.0.1"

func byName(server *jobstreamtest.TestServer) string {
	return strings.Replace(server.Address, "127.0.0.1", "localhost", 1)
}

func connect(t *testing.T, address string, options ...jobstream.Option) *jobstream.Client {
	t.Helper()
	client, err := jobstream.New(address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// useEverything makes a call, a run and a watch and uses a worker.
func useEverything(t *testing.T, client *jobstream.Client) {
	t.Helper()
	worker := jobstream.NewWorker(client, "secured")
	jobstream.Handle(worker, "secured", func(_ context.Context, task *jobstream.Task, in int) (int, error) {
		task.Progress(0.5, "half")
		return in + 1, nil
	})
	ended := begin(t, worker)
	if result, err := jobstream.Run[int](within(t), client, "secured", 1); result != 2 || err != nil {
		t.Fatal(result, err)
	}
	job := submit[int](t, client, "secured", 2)
	for _, err := range job.Watch(within(t)) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if result, err := job.Result(within(t)); result != 3 || err != nil {
		t.Fatal(result, err)
	}
	worker.Stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestClientAndWorkerTrustTheirOwnAuthority(t *testing.T) {
	a := newAuthority(t)
	server := jobstreamtest.Server(t, a.flags("server", local, 2)...)
	useEverything(t, connect(t, server.Address, jobstream.WithCAFile(a.path("ca.crt"))))
	useEverything(t, connect(t, byName(server), jobstream.WithCA(a.read("ca.crt"))))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.read("ca.crt"))
	useEverything(t, connect(t, server.Address, jobstream.WithTLS(&tls.Config{RootCAs: pool})))
	t.Setenv("JOBSTREAM_CA", a.path("ca.crt"))
	useEverything(t, connect(t, server.Address))
}

func TestClientCertificateIsSent(t *testing.T) {
	a := newAuthority(t)
	server := jobstreamtest.Server(t, append(a.flags("server", local, 2), "--tls-client-ca", a.path("ca.crt"))...)
	a.issue("alice", "DNS:alice", 2)
	ca := jobstream.WithCAFile(a.path("ca.crt"))
	files := jobstream.WithClientCertificateFiles(a.path("alice.crt"), a.path("alice.key"))
	useEverything(t, connect(t, server.Address, ca, files))
	pem := jobstream.WithClientCertificate(a.read("alice.crt"), a.read("alice.key"))
	useEverything(t, connect(t, server.Address, ca, pem))
}

func TestReplacedFilesOfTheClientCertificateAreRead(t *testing.T) {
	a := newAuthority(t)
	flags := append(a.flags("server", local, 2), "--tls-client-ca", a.path("ca.crt"))
	server := jobstreamtest.Server(t, flags...)
	a.issue("alice", "DNS:alice", 2)
	a.issue("renewed", "DNS:alice", 2)
	renewed := map[string][]byte{"alice.crt": a.read("renewed.crt"), "alice.key": a.read("renewed.key")}
	stranger := newAuthority(t)
	stranger.issue("alice", "DNS:alice", 2)
	files := jobstream.WithClientCertificateFiles(stranger.path("alice.crt"), stranger.path("alice.key"))
	client := connect(t, server.Address, jobstream.WithCAFile(a.path("ca.crt")), files)
	assertExplained(t, client, codes.Unauthenticated, "CLIENT_CERTIFICATE")

	stranger.write(renewed)
	useEverything(t, client)

	// A new connection while only one of the files was replaced.
	stranger.write(map[string][]byte{"alice.key": a.read("alice.key")})
	server.Restart(flags...)
	useEverything(t, client)
}

// assertExplained asserts that a call fails at once with the code, the reason and this text.
func assertExplained(t *testing.T, client *jobstream.Client, code codes.Code, reason string, texts ...string) {
	t.Helper()
	_, err := jobstream.Run[any](within(t), client, "demo.echo", nil)
	var base *jobstream.Error
	if !errors.As(err, &base) || base.Code != code || base.Reason != reason {
		t.Fatalf("%T %v", err, err)
	}
	for _, text := range append(texts, client.Address()) {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q is not in %v", text, err)
		}
	}
	if strings.Contains(err.Error(), "gave up") {
		t.Errorf("the call was retried: %v", err)
	}
}

func TestUnusableCertificateOfTheServerIsExplained(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	server := jobstreamtest.Server(t, a.flags("server", local, 2)...)
	ca := jobstream.WithCAFile(a.path("ca.crt"))
	assertExplained(t, connect(t, server.Address), codes.Unavailable, "UNKNOWN_CA", "set WithCAFile")
	strange := connect(t, server.Address, jobstream.WithCAFile(stranger.path("ca.crt")))
	assertExplained(t, strange, codes.Unavailable, "UNKNOWN_CA", "set WithCAFile")
	if errors.As(runWorker(t, strange), new(*jobstream.Unavailable)) == false {
		t.Error("the worker did not end")
	}

	wrong := jobstreamtest.Server(t, a.flags("wrong", "DNS:jobs.example,IP:10.0.0.1", 2)...)
	assertExplained(t, connect(t, byName(wrong), ca), codes.Unavailable, "INVALID_CERTIFICATE",
		"not for localhost, but for jobs.example, 10.0.0.1")

	expired := jobstreamtest.Server(t, a.flags("expired", local, -1)...)
	assertExplained(t, connect(t, expired.Address, ca), codes.Unavailable, "INVALID_CERTIFICATE",
		"its certificate has expired")
}

func runWorker(t *testing.T, client *jobstream.Client) error {
	t.Helper()
	worker := jobstream.NewWorker(client, "refused")
	jobstream.Handle(worker, "hold", newHeld().handle)
	return worker.Run(within(t))
}

func TestRefusedClientCertificateIsExplained(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	server := jobstreamtest.Server(t, append(a.flags("server", local, 2), "--tls-client-ca", a.path("ca.crt"))...)
	ca := jobstream.WithCAFile(a.path("ca.crt"))
	without := connect(t, server.Address, ca)
	assertExplained(t, without, codes.Unauthenticated, "CLIENT_CERTIFICATE", "requires a client certificate: set With")
	if err := runWorker(t, without); !errors.As(err, new(*jobstream.Unauthenticated)) {
		t.Errorf("%T %v", err, err)
	}
	stranger.issue("bob", "DNS:bob", 2)
	unknown := jobstream.WithClientCertificateFiles(stranger.path("bob.crt"), stranger.path("bob.key"))
	assertExplained(t, connect(t, server.Address, ca, unknown), codes.Unauthenticated, "CLIENT_CERTIFICATE")
}

func TestPlainTextOnOneSideIsExplained(t *testing.T) {
	a := newAuthority(t)
	plain := jobstreamtest.Server(t)
	address := strings.Replace(plain.Address, "http:", "https:", 1)
	assertExplained(t, connect(t, address), codes.Unavailable, "NOT_TLS", "use http://")

	secured := jobstreamtest.Server(t, a.flags("server", local, 2)...)
	client := connect(t, strings.Replace(secured.Address, "https:", "http:", 1))
	assertExplained(t, client, codes.Unavailable, "TLS_REQUIRED", "use "+secured.Address)
	if err := runWorker(t, client); !errors.As(err, new(*jobstream.Unavailable)) {
		t.Errorf("%T %v", err, err)
	}
}

func TestTLSOfAnotherServerIsGuessed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			// The client may have closed the connection.
			_, _ = conn.Read(make([]byte, 1024))
			_, _ = conn.Write([]byte{21, 3, 3, 0, 2, 2, 70}) // An alert: protocol version.
			_ = conn.Close()
		}
	}()
	client := impatient(t, "http://"+listener.Addr().String())
	if _, err := client.Queues(within(t)); err == nil || !strings.Contains(err.Error(), "begins with https://") {
		t.Error(err)
	}
}

func TestUnusableTLSOptionIsRejectedAtOnce(t *testing.T) {
	a := newAuthority(t)
	a.issue("alice", "DNS:alice", 2)
	key := a.path("ca.key")
	certificate := a.path("alice.crt")
	encrypted := []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----")
	a.write(map[string][]byte{"encrypted.key": encrypted, "damaged.crt": []byte("-----BEGIN CERTIFICATE-----")})
	for text, option := range map[string]jobstream.Option{
		`the CA certificate "/no/such.crt" cannot be read: no such file`:    jobstream.WithCAFile("/no/such.crt"),
		`CA certificate "` + key + `" is unusable: it has no -----BEGIN CE`: jobstream.WithCAFile(key),
		`/damaged.crt" is unusable: its certificate is damaged`:             jobstream.WithCAFile(a.path("damaged.crt")),
		`the client key "/no/such.key" cannot be read`:                      jobstream.WithClientCertificateFiles(certificate, "/no/such.key"),
		`client certificate "` + key + `" is unusable: it has no -----BEG`:  jobstream.WithClientCertificateFiles(key, key),
		`"` + certificate + `" and the client key "` + key + `" are unusab`: jobstream.WithClientCertificateFiles(certificate, key),
		`client key "` + certificate + `" is unusable: it has no -----BEGI`: jobstream.WithClientCertificateFiles(certificate, certificate),
		`/encrypted.key" is unusable: it is encrypted: decrypt it`:          jobstream.WithClientCertificateFiles(certificate, a.path("encrypted.key")),
		"CA certificate is unusable: it has no -----BEGIN CERTIFICATE-----": jobstream.WithCA([]byte("hello")),
		"client certificate is unusable: it has no -----BEGIN CERTIFICATE":  jobstream.WithClientCertificate(nil, nil),
	} {
		_, err := jobstream.New("https://localhost:1", option)
		if !errors.As(err, new(*jobstream.InvalidRequest)) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
	_, err := jobstream.New("jobs:7070", jobstream.WithCAFile(a.path("ca.crt")))
	if err == nil || !strings.Contains(err.Error(), "plain text: use https://jobs:7070") {
		t.Error(err)
	}
}

func TestPrintedClientHasNoSecrets(t *testing.T) {
	a := newAuthority(t)
	options := []jobstream.Option{
		jobstream.WithClientCertificateFiles(a.path("ca.crt"), a.path("ca.key")),
		jobstream.WithToken("secret-token"),
		jobstream.WithMetadata(map[string]string{"x-key": "secret-header"}),
	}
	client := connect(t, "https://localhost:1", options...)
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		if printed := fmt.Sprintf(verb, client); strings.Contains(printed, "secret-") {
			t.Error(verb, printed)
		}
	}
}
