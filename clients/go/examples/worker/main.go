// A worker for one kind of jobs. Try it with `jobstream run resize '{"width": 64}'` from another terminal.
//
// The worker reconnects to a server that starts later or restarts. Ctrl-C or SIGTERM drains it.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/jobstream/jobstream/clients/go"
)

type size struct {
	Width int `json:"width"`
}

type thumbnail struct {
	Width  int `json:"width"`
	Height int `json:"height"`
}

func resize(ctx context.Context, task *jobstream.Task, in size) (thumbnail, error) {
	if in.Width < 1 {
		return thumbnail{}, jobstream.Permanent(errors.New("width must be 1 or more"))
	}
	task.Progress(0.5, "decoding")
	select {
	case <-time.After(200 * time.Millisecond):
		return thumbnail{in.Width, in.Width * 3 / 4}, nil
	case <-ctx.Done():
		return thumbnail{}, ctx.Err()
	}
}

func main() {
	client, err := jobstream.New("")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	worker := jobstream.NewWorker(client, "thumbnails", jobstream.WithSlots(8), jobstream.WithSignals(),
		jobstream.WithOnConnect(func(id string) { fmt.Println("connected as", id) }))
	jobstream.Handle(worker, "resize", resize)
	if err := worker.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println("drained")
}
