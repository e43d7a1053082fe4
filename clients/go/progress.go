package jobstream

import (
	"math"
	"strconv"
	"strings"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// Progress is the progress of an attempt. Fields that the handler did not report are nil or empty.
type Progress struct {
	Moment
	// Fraction is the completed fraction, 0 to 1. If the handler reported Done of a positive Total, it is set.
	Fraction *float64
	// Done is the number of completed units, Total the number of all units.
	Done, Total *float64
	// Unit is the unit of Done and Total, such as files.
	Unit string
	// Message is human-readable text.
	Message string
}

// String returns what the handler reported, such as "3 of 5 files" or "50%: decoding".
func (p *Progress) String() string {
	var parts []string
	switch {
	case p.Done != nil && p.Total != nil:
		parts = append(parts, strings.TrimSpace(decimal(*p.Done)+" of "+decimal(*p.Total)+" "+p.Unit))
	case p.Fraction != nil:
		parts = append(parts, decimal(math.Round(100**p.Fraction))+"%")
	case p.Done != nil:
		parts = append(parts, strings.TrimSpace(decimal(*p.Done)+" "+p.Unit))
	}
	if p.Message != "" {
		parts = append(parts, p.Message)
	}
	return strings.Join(parts, ": ")
}

func decimal(number float64) string { return strconv.FormatFloat(number, 'f', -1, 64) }

func readProgress(moment Moment, wire *jobstreamv1.Progress) *Progress {
	return &Progress{moment, fractionOf(wire), wire.Done, wire.Total, wire.Unit, wire.Message}
}

// fractionOf returns the reported fraction, else done/total if total is positive, else nil.
func fractionOf(wire *jobstreamv1.Progress) *float64 {
	if wire.Fraction == nil && wire.Done != nil && wire.GetTotal() > 0 {
		return clampFraction(*wire.Done / *wire.Total)
	}
	return wire.Fraction
}

func clampFraction(fraction float64) *float64 {
	return finite(max(0, min(1, fraction)))
}

func finite(number float64) *float64 {
	if math.IsNaN(number) || math.IsInf(number, 0) {
		return nil
	}
	return &number
}
