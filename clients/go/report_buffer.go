package jobstream

import (
	"context"
	"sync"
	"time"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// reportBuffer holds the state that a worker sends to its server, across all connections: numbered reports until they
// are acknowledged, running attempts, accepted leases, slots and heartbeats. requests.go builds messages from it.
type reportBuffer struct {
	mu sync.Mutex
	// reports are the unacknowledged reports, oldest first, with consecutive numbers from first.
	reports []entry
	first   uint64
	// sent is the number of reports sent on the current stream.
	sent     int
	attempts map[string]*attempt
	// progressed are the attempts whose newest progress is not in a report yet.
	progressed         []*attempt
	acceptedLeases     []string
	heartbeatRequested bool
	// heartbeatLeases are the leases that the heartbeat in progress has not listed yet.
	heartbeatLeases []string
	// pingedAt is the time of the last ping, renewedAt of the last ping that was answered by a heartbeat.
	pingedAt, renewedAt time.Time
	slots               int
	// slotsSent is the number of slots sent on the current stream.
	slotsSent     int
	isEnding      bool
	bufferedBytes int
	limits        limits
	// due are the attempts whose OnSettled callbacks unlock calls, calling is the number of those that it has not called.
	due     []*attempt
	calling int
	// logPanic logs the panic of a callback.
	logPanic func(panicked any)
	// changed is closed and replaced when an attempt ends, a report is acknowledged or callbacks were called.
	changed chan struct{}
	// wake wakes the writer of the current stream.
	wake chan struct{}
}

// limits are the limits of the server from Welcome.
type limits struct {
	lease           time.Duration
	payloadBytesMax int
}

// entry is a buffered report. The report is nil if its lease was lost.
type entry struct {
	report *jobstreamv1.AttemptReport
	lease  string
	// ended is the attempt if the report is its final one.
	ended *attempt
	// bytes counts against bufferBytesMax; 0 for a report that is never limited.
	bytes int
}

// attempt is a running attempt.
type attempt struct {
	lease  string
	cancel context.CancelCauseFunc
	// acceptSent is closed once the acceptance was sent to the server.
	acceptSent   chan struct{}
	isAcceptSent bool
	// progress is the newest progress that is not in a report yet.
	progress *jobstreamv1.Progress
	// dropped counts the log lines dropped since the last buffered one.
	dropped int
	// leaseLost is set if the server does not know the lease. The final report is dropped.
	leaseLost bool
	settlement
}

func newReportBuffer(slots int, logPanic func(panicked any)) *reportBuffer {
	return &reportBuffer{
		first:    1,
		slots:    slots,
		logPanic: logPanic,
		attempts: map[string]*attempt{},
		changed:  make(chan struct{}),
		wake:     make(chan struct{}, 1),
	}
}

// begin records a new attempt and accepts its lease. It returns false after it released the attempt of a worker that
// drains: the server sent the assignment before it received that the worker has no slots.
func (b *reportBuffer) begin(a *attempt) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.slots == 0 {
		b.pushEnd(a, releaseReport())
		b.wakeWriter()
		return false
	}
	b.attempts[a.lease] = a
	b.acceptedLeases = append(b.acceptedLeases, a.lease)
	b.wakeWriter()
	return true
}

// markAccepted starts the attempts whose acceptance was sent.
func (b *reportBuffer) markAccepted(leases []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, lease := range leases {
		if a := b.attempts[lease]; a != nil && !a.isAcceptSent {
			a.isAcceptSent = true
			close(a.acceptSent)
		}
	}
}

// await waits until a condition holds, which is checked under the lock. It returns false if the context ends first.
func (b *reportBuffer) await(ctx context.Context, condition func() bool) bool {
	for {
		b.mu.Lock()
		isTrue, changed := condition(), b.changed
		b.mu.Unlock()
		if isTrue {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// waitIdle waits until no attempt is running.
func (b *reportBuffer) waitIdle(ctx context.Context) bool {
	return b.await(ctx, func() bool { return len(b.attempts) == 0 })
}

// waitAcknowledged waits until every report is acknowledged.
func (b *reportBuffer) waitAcknowledged(ctx context.Context) bool {
	return b.await(ctx, func() bool { return len(b.reports) == 0 })
}

// acknowledge removes the reports up to this number.
func (b *reportBuffer) acknowledge(upTo uint64) {
	b.mu.Lock()
	defer b.unlock()
	b.removeUpTo(upTo)
	b.notify()
}

// requestHeartbeat requests a heartbeat in response to a ping.
func (b *reportBuffer) requestHeartbeat() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pingedAt, b.heartbeatRequested = time.Now(), true
	b.wakeWriter()
}

// setSlots changes the number of slots.
func (b *reportBuffer) setSlots(slots int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slots = slots
	b.wakeWriter()
}

// endStream ends the current stream after the buffered reports were sent.
func (b *reportBuffer) endStream() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.isEnding = true
	b.wakeWriter()
}

// stop cancels the context of an attempt by order of the server, if it is running.
func (b *reportBuffer) stop(lease string, cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.attempts[lease]; a != nil {
		if cause == ErrLeaseLost {
			a.err = cause
		}
		a.cancel(cause)
	}
}

// stopAll cancels the contexts of all running attempts.
func (b *reportBuffer) stopAll(cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.attempts {
		a.cancel(cause)
	}
}

// releaseAll releases the attempts that are still running, without waiting for their handlers.
func (b *reportBuffer) releaseAll() {
	b.mu.Lock()
	defer b.unlock()
	for _, a := range b.attempts {
		// What the handler still returns is not used.
		a.err = ErrLeaseLost
		b.end(a, releaseReport())
	}
}

// leaseDeadline returns when the leases expire if no further ping is answered.
func (b *reportBuffer) leaseDeadline() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.renewedAt.Add(b.limits.lease)
}

func (b *reportBuffer) leaseDuration() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(b.limits.lease, idleTimeoutMin)
}

// The caller of the following methods holds the lock.

func (b *reportBuffer) leased(lease string) *attempt {
	if a := b.attempts[lease]; a != nil && !a.leaseLost {
		return a
	}
	return nil
}

// end records the final report of an attempt. A second final report is dropped.
func (b *reportBuffer) end(a *attempt, end *jobstreamv1.AttemptReport) {
	if b.attempts[a.lease] != a {
		return
	}
	delete(b.attempts, a.lease)
	if a.leaseLost {
		b.settle(a, ErrLeaseLost)
	} else {
		// At most one of each per slot, so they are not limited.
		if a.progress != nil {
			b.push(a.lease, &jobstreamv1.AttemptReport{News: &jobstreamv1.AttemptReport_Progress{Progress: a.progress}}, 0)
			a.progress = nil
		}
		b.pushDroppedCount(a)
		b.pushEnd(a, end)
	}
	b.notify()
}

func (b *reportBuffer) pushEnd(a *attempt, end *jobstreamv1.AttemptReport) {
	b.push(a.lease, end, 0)
	b.reports[len(b.reports)-1].ended = a
}

func (b *reportBuffer) push(lease string, report *jobstreamv1.AttemptReport, bytes int) {
	report.LeaseId = lease
	report.ReportSequence = b.first + uint64(len(b.reports))
	b.reports = append(b.reports, entry{report: report, lease: lease, bytes: bytes})
	b.bufferedBytes += bytes
}

func (b *reportBuffer) removeUpTo(upTo uint64) {
	for len(b.reports) > 0 && (b.first <= upTo || b.reports[0].report == nil) {
		b.bufferedBytes -= b.reports[0].bytes
		b.settle(b.reports[0].ended, nil)
		b.reports[0] = entry{}
		b.reports = b.reports[1:]
		b.first++
		b.sent = max(b.sent-1, 0)
	}
}

// notify wakes the waiters and the writer.
func (b *reportBuffer) notify() {
	close(b.changed)
	b.changed = make(chan struct{})
	b.wakeWriter()
}

func (b *reportBuffer) wakeWriter() {
	select {
	case b.wake <- struct{}{}:
	default: // A wake-up is pending.
	}
}
