package jobstream_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// authority is a certificate authority, made with openssl, with its files in a directory.
type authority struct {
	t         *testing.T
	directory string
}

var newKey = []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"}

func newAuthority(t *testing.T) authority {
	t.Helper()
	a := authority{t, t.TempDir()}
	a.openssl("req", append(newKey, "-x509", "-days", "2", "-subj", "/CN=jobstream test CA",
		"-keyout", a.path("ca.key"), "-out", a.path("ca.crt"))...)
	return a
}

func (a authority) path(file string) string { return filepath.Join(a.directory, file) }

func (a authority) read(file string) []byte {
	a.t.Helper()
	content, err := os.ReadFile(a.path(file))
	if err != nil {
		a.t.Fatal(err)
	}
	return content
}

func (a authority) write(files map[string][]byte) {
	a.t.Helper()
	for file, content := range files {
		if err := os.WriteFile(a.path(file), content, 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
}

// issue writes name.crt and name.key for these names, such as DNS:localhost,IP:127.0.0.1.
func (a authority) issue(name, names string, days int) {
	a.t.Helper()
	a.openssl("req", append(newKey, "-subj", "/CN="+name, "-addext", "subjectAltName="+names,
		"-keyout", a.path(name+".key"), "-out", a.path(name+".csr"))...)
	a.openssl("x509", "-req", "-in", a.path(name+".csr"), "-CA", a.path("ca.crt"), "-CAkey", a.path("ca.key"),
		"-CAcreateserial", "-copy_extensions", "copy", "-days", strconv.Itoa(days), "-out", a.path(name+".crt"))
}

// flags are those of a server with a new certificate.
func (a authority) flags(name, names string, days int) []string {
	a.t.Helper()
	a.issue(name, names, days)
	return []string{"--demo=true", "--tls-cert", a.path(name + ".crt"), "--tls-key", a.path(name + ".key")}
}

func (a authority) openssl(command string, arguments ...string) {
	a.t.Helper()
	if printed, err := exec.Command("openssl", append([]string{command}, arguments...)...).CombinedOutput(); err != nil {
		a.t.Fatalf("openssl %s: %v: %s", command, err, printed)
	}
}

// checkingProxy starts nginx in front of a server. It answers with the HTTP status unless a header has this value.
func checkingProxy(t *testing.T, server, header, value string, status int) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = listener.Addr().String()
	_ = listener.Close()
	directory := t.TempDir()
	config := fmt.Sprintf(`daemon off; master_process off; pid nginx.pid; error_log stderr;
		events { }
		http {
			access_log off;
			client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
			scgi_temp_path scgi;
			server { listen %s http2;
				location / { if ($http_%s != "%s") { return %d; }
					grpc_pass grpc://%s; grpc_read_timeout 1h; } }
		}`, address, header, value, status, strings.TrimPrefix(server, "http://"))
	if err := os.WriteFile(filepath.Join(directory, "nginx.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	nginx := exec.Command("nginx", "-p", directory, "-e", "stderr", "-c", "nginx.conf")
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = nginx.Process.Kill()
		_ = nginx.Wait()
	})
	for ends := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return "http://" + address
		}
		if time.Now().After(ends) {
			t.Fatal(err)
		}
	}
}
