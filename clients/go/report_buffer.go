package jobstream

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// ledger is what a worker has to tell its server, through all its connections: reports, numbered and kept until they
// are acknowledged, and beside them the state of its attempts.
type ledger struct {
	mu sync.Mutex
	// reports were not acknowledged, oldest first, with consecutive numbers from first on.
	reports []entry
	first   uint64
	// sent is how many of them have gone out on the present stream.
	sent     int
	attempts map[string]*attempt
	// progressed are attempts whose newest progress has no number yet.
	progressed   []*attempt
	accepts      []string
	heartbeatDue bool
	// beats is what the heartbeat under way has yet to name.
	beats []string
	// heard is when the last ping came, renewed when the last one came that was answered.
	heard, renewed time.Time
	slots          int
	// slotsTold is what the server was told on the present stream.
	slotsTold int
	isEnding  bool
	used      int
	terms     terms
	// changed is closed, and replaced, whenever attempts end or reports are acknowledged.
	changed chan struct{}
	// wake has the writer of the present stream look what there is to send.
	wake chan struct{}
}

// terms are the server's.
type terms struct {
	lease           time.Duration
	payloadBytesMax int
}

// entry is a report; it is nil once nobody wants to know any more.
type entry struct {
	report *jobstreamv1.AttemptReport
	lease  string
	// room is what it takes of roomBytes; 0 for what always fits.
	room int
}

// attempt is one that runs.
type attempt struct {
	lease  string
	cancel context.CancelCauseFunc
	// begun is closed once the server was told that it begins.
	begun    chan struct{}
	hasBegun bool
	// progress is the newest that has no number yet.
	progress *jobstreamv1.Progress
	// dropped counts the log lines that were dropped since the last one that was not.
	dropped int
	// isVoid is set once the server does not know it any more: its end is dropped.
	isVoid bool
}

func newLedger(slots int) *ledger {
	return &ledger{
		first:    1,
		slots:    slots,
		attempts: map[string]*attempt{},
		changed:  make(chan struct{}),
		wake:     make(chan struct{}, 1),
	}
}

// begin notes an attempt, which accepts it.
func (l *ledger) begin(a *attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempts[a.lease] = a
	l.accepts = append(l.accepts, a.lease)
	l.awaken()
}

// accepted lets attempts begin of which the server was told so.
func (l *ledger) accepted(leases []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, lease := range leases {
		if a := l.attempts[lease]; a != nil && !a.hasBegun {
			a.hasBegun = true
			close(a.begun)
		}
	}
}

// end notes how an attempt ended, unless that was noted before.
func (l *ledger) end(a *attempt, end *jobstreamv1.AttemptReport) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.attempts[a.lease] != a {
		return
	}
	delete(l.attempts, a.lease)
	if !a.isVoid {
		// At most one of each for a slot, so they need no room.
		if a.progress != nil {
			l.push(a.lease, &jobstreamv1.AttemptReport{News: &jobstreamv1.AttemptReport_Progress{Progress: a.progress}}, 0)
			a.progress = nil
		}
		l.noteDropped(a)
		l.push(a.lease, l.bounded(end), 0)
	}
	l.notify()
}

// await waits until what is asked under the lock holds; false if the context ended first.
func (l *ledger) await(ctx context.Context, holds func() bool) bool {
	for {
		l.mu.Lock()
		isSo, changed := holds(), l.changed
		l.mu.Unlock()
		if isSo {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// idle waits until no attempt runs.
func (l *ledger) idle(ctx context.Context) bool {
	return l.await(ctx, func() bool { return len(l.attempts) == 0 })
}

// settled waits until every report was acknowledged.
func (l *ledger) settled(ctx context.Context) bool {
	return l.await(ctx, func() bool { return len(l.reports) == 0 })
}

// acknowledge lets go of reports up to this number.
func (l *ledger) acknowledge(upTo uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(upTo)
	l.notify()
}

// beat has a heartbeat sent.
func (l *ledger) beat() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard, l.heartbeatDue = time.Now(), true
	l.awaken()
}

// setSlots runs at most this many attempts at a time from now on.
func (l *ledger) setSlots(slots int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slots = slots
	l.awaken()
}

// endStream ends the present stream once what is there was sent.
func (l *ledger) endStream() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isEnding = true
	l.awaken()
}

// stop ends the context of an attempt, if it still runs.
func (l *ledger) stop(lease string, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.attempts[lease]; a != nil {
		a.cancel(cause)
	}
}

// stopAll ends the contexts of all that run.
func (l *ledger) stopAll(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.attempts {
		a.cancel(cause)
	}
}

// giveBack releases all that still runs: it is not waited for any more.
func (l *ledger) giveBack() {
	l.mu.Lock()
	running := slices.Collect(maps.Values(l.attempts))
	l.mu.Unlock()
	for _, a := range running {
		l.end(a, released())
	}
}

// fence is when the leases run out unless a ping comes and is answered before.
func (l *ledger) fence() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.renewed.Add(l.terms.lease)
}

func (l *ledger) leaseTime() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.terms.lease, silenceMin)
}

// What follows is called under the lock.

func (l *ledger) standing(lease string) *attempt {
	if a := l.attempts[lease]; a != nil && !a.isVoid {
		return a
	}
	return nil
}

func (l *ledger) push(lease string, report *jobstreamv1.AttemptReport, room int) {
	report.LeaseId = lease
	report.ReportSequence = l.first + uint64(len(l.reports))
	l.reports = append(l.reports, entry{report, lease, room})
	l.used += room
}

func (l *ledger) forget(upTo uint64) {
	for len(l.reports) > 0 && (l.first <= upTo || l.reports[0].report == nil) {
		l.used -= l.reports[0].room
		l.reports[0] = entry{}
		l.reports = l.reports[1:]
		l.first++
		l.sent = max(l.sent-1, 0)
	}
}

// notify wakes whoever awaits something, and the writer.
func (l *ledger) notify() {
	close(l.changed)
	l.changed = make(chan struct{})
	l.awaken()
}

func (l *ledger) awaken() {
	select {
	case l.wake <- struct{}{}:
	default: // It is awake.
	}
}
