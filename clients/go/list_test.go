package jobstream_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/jobstream/jobstream/clients/go"
	"github.com/jobstream/jobstream/clients/go/jobstreamtest"
)

// listed returns the ids of the jobs that match a filter.
func listed(t *testing.T, client *jobstream.Client, filter jobstream.JobFilter) []string {
	t.Helper()
	ids := []string{}
	for job, err := range client.List(within(t), filter) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, job.ID)
	}
	return ids
}

func TestListIteratesOverAllPagesNewestFirst(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	const jobs = 450
	requests := make([]jobstream.JobRequest, jobs)
	for i := range requests {
		requests[i] = jobstream.JobRequest{Kind: "unserved", Input: i}
	}
	expected := make([]string, jobs)
	for i, result := range jobstream.SubmitAll[any](within(t), client, requests) {
		if result.Err != nil {
			t.Fatal(result.Err)
		}
		expected[jobs-1-i] = result.Job.ID()
	}
	if ids := listed(t, client, jobstream.JobFilter{}); !reflect.DeepEqual(ids, expected) {
		t.Errorf("%d jobs, %v", len(ids), ids)
	}
	for range client.List(within(t), jobstream.JobFilter{}) {
		break // Leaving the loop ends the listing.
	}
}

func TestListMatchesEveryFilter(t *testing.T) {
	client := jobstreamtest.Server(t, "--demo=true").Client()
	red := submit[any](t, client, "unserved", nil, jobstream.WithLabels(map[string]string{"colour": "red"}))
	report := submit[any](t, client, "unserved", nil, jobstream.WithQueue("reports"))
	echo := submit[any](t, client, "demo.echo", "input")
	if _, err := echo.Result(within(t)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		filter   jobstream.JobFilter
		expected []string
	}{
		{jobstream.JobFilter{States: []jobstream.State{jobstream.StateSucceeded}}, []string{echo.ID()}},
		{jobstream.JobFilter{States: []jobstream.State{jobstream.StateQueued, jobstream.StateFailed}}, []string{report.ID(), red.ID()}},
		{jobstream.JobFilter{Kind: "demo.echo"}, []string{echo.ID()}},
		{jobstream.JobFilter{Queue: "reports"}, []string{report.ID()}},
		{jobstream.JobFilter{Labels: map[string]string{"colour": "red"}}, []string{red.ID()}},
		{jobstream.JobFilter{Labels: map[string]string{"colour": "blue"}}, []string{}},
	} {
		if ids := listed(t, client, test.filter); !reflect.DeepEqual(ids, test.expected) {
			t.Errorf("%+v: %v instead of %v", test.filter, ids, test.expected)
		}
	}
	whole, err := client.Get(within(t), echo.ID())
	if err != nil {
		t.Fatal(err)
	}
	if whole.Kind != "demo.echo" || whole.Queue != "default" || whole.State != jobstream.StateSucceeded || whole.Attempt != 1 ||
		whole.Payload.Text() != `"input"` || whole.Created.IsZero() || whole.Finished.IsZero() {
		t.Errorf("%+v", whole)
	}
}

func TestListRejectsAnUnknownState(t *testing.T) {
	client := impatient(t, "127.0.0.1:1")
	for job, err := range client.List(within(t), jobstream.JobFilter{States: []jobstream.State{"LOST"}}) {
		if job != nil || !errors.As(err, new(*jobstream.InvalidRequest)) {
			t.Errorf("%v %T %v", job, err, err)
		}
	}
}

func TestSubmitAllReturnsAJobOrAnErrorForEachRequest(t *testing.T) {
	client := jobstreamtest.Server(t, "--demo=true").Client()
	results := jobstream.SubmitAll[string](within(t), client, []jobstream.JobRequest{
		{Kind: "demo.echo", Input: "first"},
		{Kind: "no spaces"},
		{Kind: "demo.echo", Options: []jobstream.SubmitOption{jobstream.WithJobID("order-123")}},
		{Kind: "demo.echo", Input: func() {}},
		{Kind: "demo.echo", Input: "last"},
	})
	for i, expected := range map[int]string{0: "first", 4: "last"} {
		if results[i].Err != nil {
			t.Fatal(results[i].Err)
		}
		if result, err := results[i].Job.Result(within(t)); result != expected || err != nil {
			t.Error(result, err)
		}
	}
	for i, field := range map[int]string{1: "job.kind", 2: "job.job_id", 3: "job.payload"} {
		var invalid *jobstream.InvalidRequest
		if !errors.As(results[i].Err, &invalid) || invalid.Violations[0].Field != field || results[i].Job != nil {
			t.Errorf("%+v", results[i])
		}
	}
	if results := jobstream.SubmitAll[any](within(t), client, nil); len(results) != 0 {
		t.Error(results)
	}
}

func TestSubmitAllSplitsManyAndLargeJobsIntoCalls(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	var requests []jobstream.JobRequest
	for i := range 1_500 {
		requests = append(requests, jobstream.JobRequest{Kind: "unserved", Input: i})
	}
	for range 5 {
		requests = append(requests, jobstream.JobRequest{Kind: "unserved", Input: make([]byte, 1<<20)})
	}
	for i, result := range jobstream.SubmitAll[any](within(t), client, requests) {
		if result.Err != nil {
			t.Fatal(i, result.Err)
		}
	}
	if jobs := listed(t, client, jobstream.JobFilter{}); len(jobs) != len(requests) {
		t.Error(len(jobs))
	}
}

func TestFailedCallOfSubmitAllFailsItsJobsAndLaterOnes(t *testing.T) {
	client := impatient(t, "127.0.0.1:1")
	requests := make([]jobstream.JobRequest, 1_001)
	for i := range requests {
		requests[i] = jobstream.JobRequest{Kind: fmt.Sprint("kind-", i)}
	}
	for i, result := range jobstream.SubmitAll[any](within(t), client, requests) {
		if !errors.As(result.Err, new(*jobstream.Unavailable)) || result.Job != nil {
			t.Fatal(i, result)
		}
	}
}
