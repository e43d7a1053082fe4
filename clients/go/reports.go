package jobstream

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

const (
	// roomBytes is how much progress, output and logs may be on their way and not acknowledged. More output waits, more
	// logs are dropped and counted. Ends always fit: there is one for each slot.
	roomBytes = 8 << 20
	// reportBytes is what a report takes at least.
	reportBytes = 192
)

// progress notes how far an attempt is; of what is not on its way yet only the newest is kept.
func (l *ledger) progress(lease string, news *jobstreamv1.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.standing(lease)
	if a == nil {
		return
	}
	if a.progress == nil {
		l.progressed = append(l.progressed, a)
	}
	a.progress = news
	l.awaken()
}

// log adds a line if there is room; else a later line tells how many are missing.
func (l *ledger) log(lease string, news *jobstreamv1.Log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.standing(lease)
	if a == nil {
		return
	}
	room := reportBytes + len(news.Text)
	if l.used+room > roomBytes {
		a.dropped++
		return
	}
	l.noteDropped(a)
	l.push(lease, &jobstreamv1.AttemptReport{News: &jobstreamv1.AttemptReport_Log{Log: news}}, room)
	l.awaken()
}

// output adds a chunk once there is room.
func (l *ledger) output(ctx context.Context, lease string, news *jobstreamv1.Output) error {
	size := len(news.Payload.GetData()) + len(news.Payload.GetText())
	room := min(reportBytes+proto.Size(news), roomBytes)
	var refused error
	isTaken := l.await(ctx, func() bool {
		switch limit := l.terms.payloadBytesMax; {
		case l.standing(lease) == nil:
			refused = ErrLeaseLost
		case size > limit:
			refused = invalid("output", tooLarge("chunk", size, limit))
		case l.used+room > roomBytes:
			return false
		default:
			l.push(lease, &jobstreamv1.AttemptReport{News: &jobstreamv1.AttemptReport_Output{Output: news}}, room)
			l.awaken()
		}
		return true
	})
	if !isTaken {
		return context.Cause(ctx)
	}
	return refused
}

// What follows is called under the lock.

// noteDropped adds a line that tells how many were dropped before; there is at most one for each line that fits.
func (l *ledger) noteDropped(a *attempt) {
	if a.dropped == 0 {
		return
	}
	text := fmt.Sprintf("%d log lines were dropped here: they came faster than they could be sent", a.dropped)
	a.dropped = 0
	l.push(a.lease, &jobstreamv1.AttemptReport{News: &jobstreamv1.AttemptReport_Log{Log: &jobstreamv1.Log{
		Level: jobstreamv1.LogLevel_LOG_LEVEL_WARN, Text: text, Stream: jobstreamv1.LogStream_LOG_STREAM_LOG,
	}}}, 0)
}

// bounded makes a failure of a result that the server would not take: a message that is too large would end the stream.
func (l *ledger) bounded(end *jobstreamv1.AttemptReport) *jobstreamv1.AttemptReport {
	result := end.GetComplete().GetResult()
	size, limit := len(result.GetData())+len(result.GetText()), l.terms.payloadBytesMax
	if size <= limit {
		return end
	}
	reason := jobstreamv1.FailureReason_FAILURE_REASON_RESULT_TOO_LARGE
	failure := failure(reason, tooLarge("result", size, limit), "")
	failure.Retryable = false
	return failed(failure, 0)
}
