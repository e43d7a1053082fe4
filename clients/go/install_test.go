package jobstream_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jobstream/jobstream/clients/go/jobstreamtest"
)

const program = `package main

import (
	"fmt"

	"github.com/jobstream/jobstream/clients/go"
)

func main() {
	client, err := jobstream.New("127.0.0.1:7070")
	fmt.Print(client.Address(), err)
}
`

// TestReadmeInstallsTheModule runs the commands of the README in a new module, which needs no network: the cache has the
// dependencies.
func TestReadmeInstallsTheModule(t *testing.T) {
	if printed := runProgram(t, program, t.TempDir()); printed != "http://127.0.0.1:7070<nil>" {
		t.Error(printed)
	}
}

const securedProgram = `package main

import (
	"context"
	"fmt"
	"os"

	"github.com/jobstream/jobstream/clients/go"
)

func echo(client *jobstream.Client, err error) {
	if err == nil {
		var result string
		result, err = jobstream.Run[string](context.Background(), client, "demo.echo", "secured")
		fmt.Print(result, " ")
	}
	fmt.Println(err)
}

func main() {
%s}
`

// TestReadmeUsesSecuredServers runs the example of each option with its files.
func TestReadmeUsesSecuredServers(t *testing.T) {
	a := newAuthority(t)
	a.issue("alice", "DNS:alice", 2)
	if err := os.WriteFile(a.path("token"), []byte("jst_example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)## TLS, tokens.*?```go\n(.*?)```").FindStringSubmatch(readme(t))
	if found == nil {
		t.Fatal("the README has no example")
	}
	flags := a.flags("server", local, 2)
	secured := jobstreamtest.Server(t, flags...)
	mutual := jobstreamtest.Server(t, append(flags, "--tls-client-ca", a.path("ca.crt"))...)
	example := strings.NewReplacer("https://localhost:7070", byName(secured), "https://localhost:7071", byName(mutual)).Replace(found[1])
	example = regexp.MustCompile(`client, err :?= .*`).ReplaceAllString(example, "$0\necho(client, err)")
	printed := runProgram(t, fmt.Sprintf(securedProgram, example), a.directory)
	if printed != strings.Repeat("secured <nil>\n", 4) {
		t.Error(printed)
	}
}

func readme(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// runProgram runs a program in a new module in a directory and returns its output.
func runProgram(t *testing.T, program, module string) string {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile("(?s)```sh\n(go mod edit.*?)```").FindStringSubmatch(readme(t))
	if commands == nil {
		t.Fatal("the README has no commands to install the module")
	}
	if err := os.WriteFile(filepath.Join(module, "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	script := "go mod init example.com/program\n" + strings.ReplaceAll(commands[1], "../jobstream/clients/go", here) + "go run .\n"
	shell := exec.Command("sh", "-eu", "-c", script)
	shell.Dir = module
	shell.Env = append(os.Environ(), "GOPROXY=off", "GOSUMDB=off", "GOFLAGS=", "GOWORK=off")
	shell.Stderr = os.Stderr
	printed, err := shell.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, printed)
	}
	return string(printed)
}

func TestModuleHasBothLicences(t *testing.T) {
	for _, name := range []string{"LICENSE-MIT", "LICENSE-APACHE"} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}
