package jobstream

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// requestBytes is the size above which a message takes no further report. It is small because a message that is partly
// sent when the connection breaks is sent again. A larger report is sent alone.
const requestBytes = 4 << 10

const (
	// leasesMax is the largest number of leases that a message accepts, and that its heartbeat lists: about 400 KB
	// each.
	leasesMax = 10_000
	// leasesHeldMax is the largest number of leases in Hello.
	leasesHeldMax = 100_000
	// leasesAside is the largest size of the leases in a message with a report larger than requestBytes.
	leasesAside = 1 << 10
	// leaseBytes is the approximate size of a lease in a list.
	leaseBytes = 48
)

// beginStream begins a stream. It returns Hello with the slots and the held leases.
func (b *reportBuffer) beginStream(hello *jobstreamv1.Hello) *jobstreamv1.WorkRequest {
	b.mu.Lock()
	defer b.mu.Unlock()
	// An attempt whose lease is lost occupies its slot until it stops.
	b.slotsSent = max(b.slots-len(b.attempts), 0)
	b.sent, b.isEnding = 0, false
	b.pingedAt, b.heartbeatRequested, b.heartbeatLeases = time.Now(), false, nil
	hello = proto.Clone(hello).(*jobstreamv1.Hello)
	hello.Slots = uint32(b.slotsSent)
	held := b.heldLeases()
	hello.HeldLeaseIds = held[:min(len(held), leasesHeldMax)]
	return &jobstreamv1.WorkRequest{Hello: hello}
}

// applyWelcome applies Welcome, after its refusals. It cancels the attempts whose leases are lost and drops their reports.
func (b *reportBuffer) applyWelcome(welcome *jobstreamv1.Welcome) {
	b.mu.Lock()
	defer b.unlock()
	b.limits = limits{lease: welcome.Lease.AsDuration(), payloadBytesMax: int(welcome.PayloadBytesMax)}
	valid := make(map[string]bool, len(welcome.StandingLeaseIds))
	for _, lease := range welcome.StandingLeaseIds {
		valid[lease] = true
	}
	b.acceptedLeases = nil
	for lease, a := range b.attempts {
		if valid[lease] && !a.leaseLost {
			b.acceptedLeases = append(b.acceptedLeases, lease)
			continue
		}
		a.leaseLost, a.progress, a.dropped = true, nil, 0
		a.cancel(ErrLeaseLost)
	}
	for i, e := range b.reports {
		number := b.first + uint64(i)
		isTaken := number <= welcome.AckedReportSequence
		if valid[e.lease] && !isTaken {
			continue
		}
		if number <= welcome.UnknownReportSequence {
			b.settle(e.ended, endUnknown())
		}
		if !isTaken {
			b.bufferedBytes -= e.bytes
			b.settle(e.ended, ErrLeaseLost)
			b.reports[i] = entry{lease: e.lease}
		}
	}
	b.removeUpTo(welcome.AckedReportSequence)
	b.renewedAt, b.heartbeatRequested = b.pingedAt, len(b.acceptedLeases) > 0
	b.notify()
}

// nextRequest builds a message of everything that waits to be sent; nil if there is nothing. isEnding reports whether
// the stream is to be closed.
func (b *reportBuffer) nextRequest() (request *jobstreamv1.WorkRequest, isEnding bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	request = &jobstreamv1.WorkRequest{}
	if slots := b.usableSlots(); slots != b.slotsSent {
		b.slotsSent = slots
		request.Slots = proto.Uint32(uint32(slots))
	}
	if b.heartbeatRequested {
		b.heartbeatRequested, b.renewedAt = false, b.pingedAt
		b.heartbeatLeases = b.liveLeases()
		request.Heartbeat = &jobstreamv1.WorkerHeartbeat{}
	}
	if len(b.heartbeatLeases) > 0 {
		heartbeatLeases := b.heartbeatLeases[:min(len(b.heartbeatLeases), leasesMax)]
		b.heartbeatLeases = b.heartbeatLeases[len(heartbeatLeases):]
		request.Heartbeat = &jobstreamv1.WorkerHeartbeat{LeaseIds: heartbeatLeases}
	}
	if len(b.heartbeatLeases) > 0 {
		return request, false // A final report of a listed lease must not be sent before the rest of the heartbeat.
	}
	for len(b.acceptedLeases) > 0 && len(request.AcceptedLeaseIds) < leasesMax {
		// A final report accepts its lease implicitly.
		if lease := b.acceptedLeases[0]; b.leased(lease) != nil {
			request.AcceptedLeaseIds = append(request.AcceptedLeaseIds, lease)
		}
		b.acceptedLeases = b.acceptedLeases[1:]
	}
	b.pushProgress()
	request.Reports = b.takeReports(leaseBytes * (len(request.GetHeartbeat().GetLeaseIds()) + len(request.AcceptedLeaseIds)))
	isEmpty := request.Slots == nil && request.Heartbeat == nil && request.AcceptedLeaseIds == nil && request.Reports == nil
	if isEmpty {
		return nil, b.isEnding
	}
	return request, false
}

// usableSlots is the number of slots without those of attempts that lost their leases and have not stopped.
func (b *reportBuffer) usableSlots() int {
	slots := b.slots
	for _, a := range b.attempts {
		if a.leaseLost {
			slots--
		}
	}
	return max(slots, 0)
}

// heldLeases returns the leases of running attempts, and of ended ones whose final report is not acknowledged.
func (b *reportBuffer) heldLeases() []string {
	return append(b.runningLeases(), b.finalReportsFrom(0)...)
}

// liveLeases returns the leases that a heartbeat lists: of running attempts, and of ended ones whose final report was
// not sent.
func (b *reportBuffer) liveLeases() []string {
	return append(b.runningLeases(), b.finalReportsFrom(b.sent)...)
}

func (b *reportBuffer) runningLeases() []string {
	var leases []string
	for lease, a := range b.attempts {
		if !a.leaseLost {
			leases = append(leases, lease)
		}
	}
	return leases
}

func (b *reportBuffer) finalReportsFrom(index int) []string {
	var leases []string
	for _, e := range b.reports[index:] {
		if e.ended != nil {
			leases = append(leases, e.lease)
		}
	}
	return leases
}

// pushProgress buffers reports of the newest progress of each attempt, up to the buffer limit.
func (b *reportBuffer) pushProgress() {
	var waiting []*attempt
	for _, a := range b.progressed {
		if a.progress == nil {
			continue // The attempt ended or lost its lease.
		}
		size := reportBytes + proto.Size(a.progress)
		if b.bufferedBytes+size > bufferBytesMax {
			waiting = append(waiting, a)
			continue
		}
		b.push(a.lease, &jobstreamv1.AttemptReport{News: &jobstreamv1.AttemptReport_Progress{Progress: a.progress}}, size)
		a.progress = nil
	}
	b.progressed = waiting
}

// takeReports returns the next unsent reports that fit into a message of this size.
func (b *reportBuffer) takeReports(bytes int) []*jobstreamv1.AttemptReport {
	var reports []*jobstreamv1.AttemptReport
	others := bytes
	for ; b.sent < len(b.reports); b.sent++ {
		report := b.reports[b.sent].report
		if report == nil {
			continue
		}
		bytes += reportBytes + proto.Size(report)
		if bytes > requestBytes && (len(reports) > 0 || others > leasesAside) {
			break
		}
		reports = append(reports, report)
	}
	return reports
}
