package jobstream

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

const (
	// bufferBytesMax limits the unacknowledged progress, output and logs. Above it output waits and log lines are
	// dropped and counted. Final reports are not limited: there is one per slot.
	bufferBytesMax = 8 << 20
	// reportBytes is the size of a report without its content, an upper bound.
	reportBytes = 192
)

// progress records the progress of an attempt. Only the newest unsent value is retained.
func (b *reportBuffer) progress(lease string, progress *jobstreamv1.Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.leased(lease)
	if a == nil {
		return
	}
	if a.progress == nil {
		b.progressed = append(b.progressed, a)
	}
	a.progress = progress
	b.wakeWriter()
}

// log buffers a log line. It drops and counts the line if the buffer is full.
func (b *reportBuffer) log(lease string, log *jobstreamv1.Log) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.leased(lease)
	if a == nil {
		return
	}
	bytes := reportBytes + len(log.Text)
	if b.bufferedBytes+bytes > bufferBytesMax {
		a.dropped++
		return
	}
	b.pushDroppedCount(a)
	b.push(lease, &jobstreamv1.AttemptReport{News: &jobstreamv1.AttemptReport_Log{Log: log}}, bytes)
	b.wakeWriter()
}

// output buffers a chunk. It waits while the buffer is full.
func (b *reportBuffer) output(ctx context.Context, lease string, output *jobstreamv1.Output) error {
	size := len(output.Payload.GetData()) + len(output.Payload.GetText())
	bytes := min(reportBytes+proto.Size(output), bufferBytesMax)
	var rejection error
	isBuffered := b.await(ctx, func() bool {
		switch limit := b.limits.payloadBytesMax; {
		case b.leased(lease) == nil:
			rejection = ErrLeaseLost
		case size > limit:
			rejection = invalid("output", tooLarge("chunk", size, limit))
		case b.bufferedBytes+bytes > bufferBytesMax:
			return false
		default:
			b.push(lease, &jobstreamv1.AttemptReport{News: &jobstreamv1.AttemptReport_Output{Output: output}}, bytes)
			b.wakeWriter()
		}
		return true
	})
	if !isBuffered {
		return context.Cause(ctx)
	}
	return rejection
}

// limitResult replaces a result over the payload limit by a failure. A larger message would end the stream.
func (b *reportBuffer) limitResult(end *jobstreamv1.AttemptReport) *jobstreamv1.AttemptReport {
	b.mu.Lock()
	defer b.mu.Unlock()
	result := end.GetComplete().GetResult()
	size, limit := len(result.GetData())+len(result.GetText()), b.limits.payloadBytesMax
	if size <= limit {
		return end
	}
	reason := jobstreamv1.FailureReason_FAILURE_REASON_RESULT_TOO_LARGE
	failure := failure(reason, tooLarge("result", size, limit), "")
	failure.Retryable = false
	return failReport(failure, 0)
}

// The caller of the following methods holds the lock.

// pushDroppedCount buffers a log line with the number of lines dropped before it; at most one per buffered line.
func (b *reportBuffer) pushDroppedCount(a *attempt) {
	if a.dropped == 0 {
		return
	}
	text := fmt.Sprintf("%d log lines were dropped here: the send buffer was full", a.dropped)
	a.dropped = 0
	b.push(a.lease, &jobstreamv1.AttemptReport{News: &jobstreamv1.AttemptReport_Log{Log: &jobstreamv1.Log{
		Level: jobstreamv1.LogLevel_LOG_LEVEL_WARN, Text: text, Stream: jobstreamv1.LogStream_LOG_STREAM_LOG,
	}}}, 0)
}
