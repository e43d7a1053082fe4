// Streams a text word by word from a worker to a watcher, as a language model would. Start a server first: `jobstream
// dev`.
package main

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/jobstream/jobstream/clients/go"
)

const prompt = "a job is a small numbered stream of events that ends in one outcome"

func recite(_ context.Context, task *jobstream.Task, prompt string) (int, error) {
	words := strings.SplitAfter(prompt, " ")
	for _, word := range words {
		if err := task.Output(jobstream.Text(word), ""); err != nil {
			return 0, err
		}
	}
	return len(words), nil
}

func main() {
	client, err := jobstream.New("")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	worker := jobstream.NewWorker(client, "reciter")
	jobstream.Handle(worker, "recite", recite)
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(context.Background()) }()

	ctx := context.Background()
	job, err := jobstream.Submit[int](ctx, client, "recite", prompt)
	if err != nil {
		log.Fatal(err)
	}
	for event, err := range job.Watch(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		if output, isOutput := event.(*jobstream.Output); isOutput {
			fmt.Print(output.Payload.Text())
		}
	}
	words, err := job.Result(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("\n%d words\n", words)

	worker.Stop()
	if err := <-ended; err != nil {
		log.Fatal(err)
	}
}
