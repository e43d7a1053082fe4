// A worker and a client that submits a job and watches it. Start a server first: `jobstream dev`.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/jobstream/jobstream/clients/go"
)

func resize(_ context.Context, task *jobstream.Task, width int) (string, error) {
	task.Progress(0.5, "decoding")
	return fmt.Sprintf("resized to %d", width), nil
}

func tour(ctx context.Context, client *jobstream.Client) error {
	worker := jobstream.NewWorker(client, "thumbnails") // WithSignals has SIGTERM drain it.
	jobstream.Handle(worker, "resize", resize)
	go worker.Run(ctx)

	job, err := jobstream.Submit[string](ctx, client, "resize", 640) // Safe to retry: one call is one job.
	if err != nil {
		return err
	}
	for event, err := range job.Watch(ctx) { // Resumes by itself: none missed, none twice.
		if err != nil {
			return err
		}
		fmt.Printf("%+v\n", event)
	}
	result, err := job.Result(ctx)
	fmt.Println(result)
	return err
}

func main() {
	client, err := jobstream.New("")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := tour(context.Background(), client); err != nil {
		log.Fatal(err)
	}
}
