package jobstream

import (
	"math"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// progressReporter is a reporter that retains the newest progress.
type progressReporter struct {
	reporter
	newest *jobstreamv1.Progress
}

func (r *progressReporter) progress(_ string, progress *jobstreamv1.Progress) { r.newest = progress }

func TestProgressOfUnitsHasAFractionIfTheTotalIsPositive(t *testing.T) {
	reported := &progressReporter{}
	task := newTask(&jobstreamv1.Assignment{}, reported)
	for _, test := range []struct {
		done, total float64
		expected    *float64
	}{
		{1, 4, proto.Float64(0.25)},
		{5, 4, proto.Float64(1)},
		{0, 0, nil},
		{3, 0, nil},
		{3, -1, nil},
		{math.NaN(), 4, nil},
		{1, math.Inf(1), nil},
	} {
		task.ProgressOf(test.done, test.total, "files")
		fraction := reported.newest.Fraction
		if (fraction == nil) != (test.expected == nil) || fraction != nil && *fraction != *test.expected {
			t.Errorf("%v of %v is %v", test.done, test.total, fraction)
		}
	}
}

func TestProgressIsReadableWithoutAFraction(t *testing.T) {
	for expected, wire := range map[string]*jobstreamv1.Progress{
		"":              {},
		"decoding":      {Message: "decoding"},
		"33%: decoding": {Fraction: proto.Float64(1. / 3), Message: "decoding"},
		"3 of 5 files":  {Done: proto.Float64(3), Total: proto.Float64(5), Unit: "files"},
		"0.5 of 0":      {Done: proto.Float64(0.5), Total: proto.Float64(0)},
		"3 files":       {Done: proto.Float64(3), Unit: "files"},
	} {
		if shown := readProgress(Moment{}, wire).String(); shown != expected {
			t.Errorf("%q instead of %q", shown, expected)
		}
	}
	fromUnits := readProgress(Moment{}, &jobstreamv1.Progress{Done: proto.Float64(3), Total: proto.Float64(4)})
	if fromUnits.Fraction == nil || *fromUnits.Fraction != 0.75 {
		t.Error(fromUnits.Fraction)
	}
}
