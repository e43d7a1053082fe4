// Watches a job, stops, and resumes: every event is printed once. Start a server first: `jobstream dev`.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/jobstream/jobstream/clients/go"
)

func main() {
	client, err := jobstream.New("")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()

	job, err := jobstream.Submit[any](ctx, client, "demo.count", map[string]int{"to": 5})
	if err != nil {
		log.Fatal(err)
	}
	last := print(ctx, job, 0, 4)
	fmt.Println("stopped after event", last)
	// Resuming like this is for another process. After a lost connection a watch resumes by itself.
	print(ctx, client.Job(job.ID()), last, -1)
}

// print prints the events after a sequence, at most this many unless negative, and returns the last sequence.
func print(ctx context.Context, job *jobstream.Job[any], after uint32, most int) uint32 {
	for event, err := range job.Watch(ctx, jobstream.WithAfterSequence(after)) {
		if err != nil {
			log.Fatal(err)
		}
		after = event.LastSequence()
		switch event := event.(type) {
		case *jobstream.StateChange:
			fmt.Println(after, event.State)
		case *jobstream.Progress:
			fmt.Println(after, event)
		}
		if most--; most == 0 {
			break
		}
	}
	return after
}
