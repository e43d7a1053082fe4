package jobstream

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

const (
	// batchJobsMax is the largest number of jobs that the server accepts in one call.
	batchJobsMax = 1_000
	// batchBytesFull is the size above which a call takes no further job. With the largest job on top it is below the
	// 4 MiB that servers read.
	batchBytesFull = 2 << 20
)

// JobRequest is a job for [SubmitAll]. Its fields are the arguments of [Submit].
type JobRequest struct {
	Kind    string
	Input   any
	Options []SubmitOption
}

// SubmitResult is the handle of a job that was accepted, or the error of one that was not.
type SubmitResult[Out any] struct {
	Job *Job[Out]
	Err error
}

// SubmitAll submits many jobs in calls of up to 1,000 jobs, one call after the other. It returns a result for each
// request, in the same order. A rejected job does not affect the others, and neither does one that an interceptor
// refused. Out is the type of their results.
//
// The errors are those of [Submit]. If a call fails, its jobs and all later ones have its error, and no further call is
// sent: submit them again with the same [WithJobID].
func SubmitAll[Out any](ctx context.Context, client *Client, requests []JobRequest) []SubmitResult[Out] {
	results := make([]SubmitResult[Out], len(requests))
	client.submitAll(ctx, requests, func(index int, accepted *handle, err error) {
		if err != nil {
			results[index].Err = err
			return
		}
		results[index].Job = &Job[Out]{accepted}
	})
	return results
}

// batch is the jobs of one call, with their indexes in the list of requests.
type batch struct {
	specs   []*jobstreamv1.JobSpec
	indexes []int
	bytes   int
}

func (b *batch) add(index int, spec *jobstreamv1.JobSpec) {
	b.specs, b.indexes = append(b.specs, spec), append(b.indexes, index)
	b.bytes += proto.Size(spec)
}

func (b *batch) isFull() bool {
	return len(b.specs) == batchJobsMax || b.bytes >= batchBytesFull
}

// setResult receives the handle or the error of the request with this index.
type setResult func(index int, accepted *handle, err error)

func (c *Client) submitAll(ctx context.Context, requests []JobRequest, set setResult) {
	c.boots.lookUp()
	var next batch
	var failed error
	for i, request := range requests {
		spec, err := newSpec(request.Kind, request.Input, request.Options)
		if err == nil {
			err = failed
		}
		if err == nil {
			spec, err = c.intercept(ctx, spec)
		}
		if err != nil {
			set(i, nil, err)
			continue
		}
		next.add(i, spec)
		if next.isFull() {
			failed = c.submitBatch(ctx, next, set)
			next = batch{}
		}
	}
	if len(next.specs) > 0 {
		_ = c.submitBatch(ctx, next, set) // The error is set as the result of each job.
	}
}

// submitBatch submits a batch in one call. It returns the error of the call.
func (c *Client) submitBatch(ctx context.Context, b batch, set setResult) error {
	response, err := call(ctx, c, &jobstreamv1.BatchSubmitRequest{Jobs: b.specs}, c.jobs.BatchSubmit)
	if err == nil && len(response.Results) != len(b.specs) {
		err = &Error{Code: codes.Internal, Message: fmt.Sprintf(
			"the server at %s sent %d results for %d jobs", c.Address(), len(response.Results), len(b.specs))}
	}
	for i, index := range b.indexes {
		switch {
		case err != nil:
			set(index, nil, err)
		case response.Results[i].GetError() != nil:
			set(index, nil, c.jobError(i, response.Results[i].GetError()))
		default:
			waitReason := readWaitReason(response.Results[i].GetSubmitted().GetWaitReason())
			set(index, c.accepted(b.specs[i].JobId, waitReason), nil)
		}
	}
	return err
}

// jobError returns the error of one job of a call as Submit would return it: its fields are those of job, not of jobs[i].
func (c *Client) jobError(i int, wire *status.Status) error {
	err := readStatus(grpcstatus.FromProto(wire), c.Address())
	base, prefix := baseOf(err), fmt.Sprintf("jobs[%d].", i)
	base.Message = strings.ReplaceAll(base.Message, prefix, "job.")
	for v := range base.Violations {
		base.Violations[v].Field = strings.Replace(base.Violations[v].Field, prefix, "job.", 1)
	}
	return err
}
