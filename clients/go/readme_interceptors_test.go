package jobstream_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/jobstream/jobstream/clients/go"
	"github.com/jobstream/jobstream/clients/go/jobstreamtest"
)

const encryptingProgram = `package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/jobstream/jobstream/clients/go"
)

type tenantKey struct{}

%s

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	block, err := aes.NewCipher(make([]byte, 32))
	must(err)
	aead, err := cipher.NewGCM(block)
	must(err)
	v := vault{aead, []byte("another key")}
	ctx := context.WithValue(context.Background(), tenantKey{}, "acme")
	%s
	fmt.Println(job.ID(), result.Text())
	worker.Stop()
}
`

// TestReadmeEncryptsPayloads runs the examples of the README. The server has neither the input nor the result.
func TestReadmeEncryptsPayloads(t *testing.T) {
	server := jobstreamtest.Server(t)
	t.Setenv("JOBSTREAM_ADDRESS", server.Address)
	_, section, _ := strings.Cut(readme(t), "## Interceptors")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(section, -1)
	if len(blocks) != 3 {
		t.Fatal("the README has other examples")
	}
	main := regexp.MustCompile(`(?m)^\w+, err :?= .*`).ReplaceAllString(blocks[2][1], "$0\nmust(err)")
	main = strings.Replace(main, "\n\n", `
	jobstream.Handle(worker, "greet", func(ctx context.Context, _ *jobstream.Task, name string) (string, error) {
		return fmt.Sprintf("hello %s of %s", name, ctx.Value(tenantKey{})), nil
	})
	go worker.Run(context.Background())
	`, 1)
	printed := runProgram(t, fmt.Sprintf(encryptingProgram, blocks[0][1]+blocks[1][1], main), t.TempDir())
	id, result, _ := strings.Cut(strings.TrimSpace(printed), " ")
	if result != `"hello Ada of acme"` {
		t.Fatal(printed)
	}
	client := server.Client()
	stored, err := client.Get(within(t), id)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := jobstream.Attach[jobstream.Payload](client, id).Result(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, payload := range []jobstream.Payload{stored.Payload, sealed} {
		if payload.ContentType() != "application/x-encrypted" || strings.Contains(payload.Text(), "Ada") {
			t.Error(payload)
		}
	}
	if stored.Labels["tenant"] != "acme" {
		t.Error(stored.Labels)
	}
}
