package jobstream_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
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
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile("(?s)```sh\n(go mod edit.*?)```").FindStringSubmatch(string(readme))
	if commands == nil {
		t.Fatal("the README has no commands to install the module")
	}
	module := t.TempDir()
	if err := os.WriteFile(filepath.Join(module, "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	script := "go mod init example.com/program\n" + strings.ReplaceAll(commands[1], "../jobstream/clients/go", here) + "go run .\n"
	shell := exec.Command("sh", "-eu", "-c", script)
	shell.Dir = module
	shell.Env = append(os.Environ(), "GOPROXY=off", "GOSUMDB=off", "GOFLAGS=", "GOWORK=off")
	printed, err := shell.Output()
	if err != nil || string(printed) != "http://127.0.0.1:7070<nil>" {
		t.Errorf("%v: %s", err, printed)
	}
}

func TestModuleHasBothLicences(t *testing.T) {
	for _, name := range []string{"LICENSE-MIT", "LICENSE-APACHE"} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}
