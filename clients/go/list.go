package jobstream

import (
	"context"
	"fmt"
	"iter"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// pageJobs is the number of jobs to request in one call.
const pageJobs = 200

// JobFilter selects jobs that match all of its fields. Zero fields match every job.
type JobFilter struct {
	// States are the states of which the job has one.
	States []State
	// Kind and Queue are those of the job.
	Kind, Queue string
	// Labels are labels that the job has, among others.
	Labels map[string]string
	// CreatedFrom and CreatedBefore limit when the job was accepted; CreatedFrom is included.
	CreatedFrom, CreatedBefore time.Time
}

// List iterates over the jobs that match a filter, newest first and without payloads. It fetches page by page while the
// loop runs. Jobs that are accepted after its start are not listed.
//
//	for job, err := range client.List(ctx, jobstream.JobFilter{States: []jobstream.State{jobstream.StateFailed}}) {
//		if err != nil { return err }
//		fmt.Println(job.ID, job.Failure.Message)
//	}
//
// An error is the last item: [InvalidRequest] if the filter is invalid, or an error of any call.
func (c *Client) List(ctx context.Context, filter JobFilter) iter.Seq2[*JobView, error] {
	return func(yield func(*JobView, error) bool) {
		request, err := filter.request()
		for err == nil {
			var page *jobstreamv1.ListJobsResponse
			if page, err = call(ctx, c, request, c.jobs.ListJobs); err != nil {
				break
			}
			for _, job := range page.Jobs {
				if !yield(readJob(job), nil) {
					return
				}
			}
			if page.NextPageToken == "" {
				return
			}
			request.PageToken = page.NextPageToken
		}
		yield(nil, err)
	}
}

func (f JobFilter) request() (*jobstreamv1.ListJobsRequest, error) {
	request := &jobstreamv1.ListJobsRequest{
		Kind: f.Kind, Queue: f.Queue, Labels: f.Labels, PageSize: pageJobs,
		CreateTimeFrom: wireTime(f.CreatedFrom), CreateTimeBefore: wireTime(f.CreatedBefore),
	}
	var err error
	request.States, err = wireStates(f.States)
	return request, err
}

func wireStates(states []State) ([]jobstreamv1.JobState, error) {
	var wire []jobstreamv1.JobState
	for _, state := range states {
		number, isKnown := jobstreamv1.JobState_value["JOB_STATE_"+string(state)]
		if !isKnown {
			return nil, invalid("states", fmt.Sprintf("%q is not a state, such as %s", state, StateFailed))
		}
		wire = append(wire, jobstreamv1.JobState(number))
	}
	return wire, nil
}

// wireTime returns nil for the zero time.
func wireTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
