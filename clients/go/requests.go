package jobstream

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// requestBytes is the size after which a message takes no further report: small, because only whole frames arrive, and what
// is in part of one when a connection breaks is sent again. A larger report goes alone.
const requestBytes = 4 << 10

const (
	// leasesMax is how many leases a message accepts, and how many its heartbeat names: about 400 KB each.
	leasesMax = 10_000
	// leasesHeldMax is how many leases a greeting may name.
	leasesHeldMax = 100_000
	// leasesAside is how many bytes of leases may go with a report that is larger than a message is to be.
	leasesAside = 1 << 10
	// leaseBytes is about what a lease takes in a list.
	leaseBytes = 48
)

// greet begins a stream with this greeting, completed by slots and leases.
func (l *ledger) greet(hello *jobstreamv1.Hello) *jobstreamv1.WorkRequest {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Those that the server turns out not to know any more need their slots until they stop.
	l.slotsTold = max(l.slots-len(l.attempts), 0)
	l.sent, l.isEnding = 0, false
	l.heard, l.heartbeatDue, l.beats = time.Now(), false, nil
	hello = proto.Clone(hello).(*jobstreamv1.Hello)
	hello.Slots = uint32(l.slotsTold)
	held := l.held()
	hello.HeldLeaseIds = held[:min(len(held), leasesHeldMax)]
	return &jobstreamv1.WorkRequest{Hello: hello}
}

// welcomed goes on after the server's answer: what does not stand is void and stopped.
func (l *ledger) welcomed(welcome *jobstreamv1.Welcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.terms = terms{lease: welcome.Lease.AsDuration(), payloadBytesMax: int(welcome.PayloadBytesMax)}
	standing := make(map[string]bool, len(welcome.StandingLeaseIds))
	for _, lease := range welcome.StandingLeaseIds {
		standing[lease] = true
	}
	l.accepts = nil
	for lease, a := range l.attempts {
		if standing[lease] && !a.isVoid {
			l.accepts = append(l.accepts, lease)
			continue
		}
		a.isVoid, a.progress, a.dropped = true, nil, 0
		a.cancel(ErrLeaseLost)
	}
	for i, kept := range l.reports {
		if !standing[kept.lease] {
			l.used -= kept.room
			l.reports[i] = entry{lease: kept.lease}
		}
	}
	l.forget(welcome.AckedReportSequence)
	l.renewed, l.heartbeatDue = l.heard, len(l.accepts) > 0
	l.notify()
}

// next is one message of everything there is to tell, nil if there is nothing; isEnding if nothing more will come.
func (l *ledger) next() (request *jobstreamv1.WorkRequest, isEnding bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	request = &jobstreamv1.WorkRequest{}
	if slots := l.slotsDue(); slots != l.slotsTold {
		l.slotsTold = slots
		request.Slots = proto.Uint32(uint32(slots))
	}
	if l.heartbeatDue {
		l.heartbeatDue, l.renewed = false, l.heard
		l.beats = l.beating()
		request.Heartbeat = &jobstreamv1.WorkerHeartbeat{}
	}
	if len(l.beats) > 0 {
		beats := l.beats[:min(len(l.beats), leasesMax)]
		l.beats = l.beats[len(beats):]
		request.Heartbeat = &jobstreamv1.WorkerHeartbeat{LeaseIds: beats}
	}
	if len(l.beats) > 0 {
		return request, false // No report that ends one of them may overtake it.
	}
	for len(l.accepts) > 0 && len(request.AcceptedLeaseIds) < leasesMax {
		// What has ended since is accepted by its report.
		if lease := l.accepts[0]; l.standing(lease) != nil {
			request.AcceptedLeaseIds = append(request.AcceptedLeaseIds, lease)
		}
		l.accepts = l.accepts[1:]
	}
	l.numberProgress()
	request.Reports = l.unsent(leaseBytes * (len(request.GetHeartbeat().GetLeaseIds()) + len(request.AcceptedLeaseIds)))
	isEmpty := request.Slots == nil && request.Heartbeat == nil && request.AcceptedLeaseIds == nil && request.Reports == nil
	if isEmpty {
		return nil, l.isEnding
	}
	return request, false
}

// slotsDue is what the server may fill: attempts without a lease take a slot until they stop.
func (l *ledger) slotsDue() int {
	slots := l.slots
	for _, a := range l.attempts {
		if a.isVoid {
			slots--
		}
	}
	return max(slots, 0)
}

// held are the leases of attempts that run or whose end was not acknowledged.
func (l *ledger) held() []string {
	return append(l.standingLeases(), l.endedFrom(0)...)
}

// beating are the leases that a heartbeat names: of what runs, and of what ended without the server having been told.
func (l *ledger) beating() []string {
	return append(l.standingLeases(), l.endedFrom(l.sent)...)
}

func (l *ledger) standingLeases() []string {
	var leases []string
	for lease, a := range l.attempts {
		if !a.isVoid {
			leases = append(leases, lease)
		}
	}
	return leases
}

func (l *ledger) endedFrom(index int) []string {
	var leases []string
	for _, kept := range l.reports[index:] {
		switch kept.report.GetNews().(type) {
		case *jobstreamv1.AttemptReport_Complete, *jobstreamv1.AttemptReport_Fail,
			*jobstreamv1.AttemptReport_Release, *jobstreamv1.AttemptReport_Stopped:
			leases = append(leases, kept.lease)
		}
	}
	return leases
}

// numberProgress makes reports of the newest progress of each attempt, while there is room.
func (l *ledger) numberProgress() {
	var waiting []*attempt
	for _, a := range l.progressed {
		if a.progress == nil {
			continue // It ended, or lost its lease.
		}
		room := reportBytes + proto.Size(a.progress)
		if l.used+room > roomBytes {
			waiting = append(waiting, a)
			continue
		}
		l.push(a.lease, &jobstreamv1.AttemptReport{News: &jobstreamv1.AttemptReport_Progress{Progress: a.progress}}, room)
		a.progress = nil
	}
	l.progressed = waiting
}

// unsent is the next reports that fit a message which has this many bytes already.
func (l *ledger) unsent(bytes int) []*jobstreamv1.AttemptReport {
	var reports []*jobstreamv1.AttemptReport
	others := bytes
	for ; l.sent < len(l.reports); l.sent++ {
		report := l.reports[l.sent].report
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
