// Submits a job with typed data and prints its result. Start a server first: `jobstream dev`. The server address is
// JOBSTREAM_ADDRESS, else http://127.0.0.1:7070.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math"
	"time"

	"github.com/jobstream/jobstream/clients/go"
)

type greeting struct {
	Name  string `json:"name"`
	Times uint64 `json:"times"`
}

func main() {
	client, err := jobstream.New("")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	input := greeting{Name: "Ada", Times: math.MaxUint64}
	labels := map[string]string{"example": "submit_and_wait"}
	job, err := jobstream.Submit[greeting](ctx, client, "demo.echo", input, jobstream.WithLabels(labels))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("submitted", job.ID())

	result, err := job.Result(ctx)
	var failed *jobstream.JobFailed
	switch {
	case errors.As(err, &failed):
		fmt.Println("the job failed:", failed.Failure.Message)
	case err != nil:
		log.Fatal(err)
	default:
		fmt.Printf("result %+v\n", result)
	}
}
