package jobstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// openLedger is one whose server knows these attempts.
func openLedger(leases ...string) *ledger {
	l := newLedger(4)
	for _, lease := range leases {
		_, cancel := context.WithCancelCause(context.Background())
		l.begin(&attempt{lease: lease, cancel: cancel, begun: make(chan struct{})})
	}
	l.greet(&jobstreamv1.Hello{})
	l.welcomed(testWelcome(leases...))
	return l
}

func testWelcome(standing ...string) *jobstreamv1.Welcome {
	return &jobstreamv1.Welcome{
		Lease: durationpb.New(30 * time.Second), StandingLeaseIds: standing, PayloadBytesMax: 1 << 20,
	}
}

func completed(text string) *jobstreamv1.AttemptReport {
	return endOf(context.Background(), Text(text), nil)
}

func TestAttemptThatLostItsLeaseKeepsItsSlotUntilItStops(t *testing.T) {
	l := openLedger("a", "b")
	l.greet(&jobstreamv1.Hello{})
	l.welcomed(testWelcome("b"))
	if request, _ := l.next(); request.GetSlots() != 3 {
		t.Error(request)
	}
	l.end(l.attempts["a"], completed("late"))
	if request, _ := l.next(); request.GetSlots() != 4 || request.Reports != nil {
		t.Error(request)
	}
}

func TestReportsKeepTheirNumbersUntilTheyAreAcknowledged(t *testing.T) {
	l := openLedger("a", "b")
	l.log("a", &jobstreamv1.Log{Text: "line"})
	l.end(l.attempts["b"], completed("done"))
	first, _ := l.next()
	hello := l.greet(&jobstreamv1.Hello{}).Hello
	if len(hello.HeldLeaseIds) != 2 {
		t.Error(hello.HeldLeaseIds)
	}
	welcome := testWelcome("a", "b")
	welcome.AckedReportSequence = 1
	l.welcomed(welcome)
	again, _ := l.next()
	if len(first.Reports) != 2 || len(again.Reports) != 1 || again.Reports[0].ReportSequence != 2 {
		t.Error(first, again)
	}
	l.acknowledge(2)
	if !l.settled(context.Background()) || l.used != 0 {
		t.Error(l.reports, l.used)
	}
}

func TestOnlyTheNewestProgressIsSent(t *testing.T) {
	l := openLedger("a")
	l.next()
	for _, message := range []string{"first", "second", "newest"} {
		l.progress("a", &jobstreamv1.Progress{Message: message})
	}
	request, _ := l.next()
	if len(request.Reports) != 1 || request.Reports[0].GetProgress().Message != "newest" {
		t.Error(request)
	}
}

func TestOutputWaitsForRoomAndEndsWithItsContext(t *testing.T) {
	l := openLedger("a")
	chunk := &jobstreamv1.Output{Payload: &jobstreamv1.Payload{Body: &jobstreamv1.Payload_Data{Data: make([]byte, 1<<20)}}}
	ctx, cancel := context.WithCancelCause(context.Background())
	for range roomBytes>>20 - 1 {
		if err := l.output(ctx, "a", chunk); err != nil {
			t.Fatal(err)
		}
	}
	waiting := make(chan error)
	go func() { waiting <- l.output(ctx, "a", chunk) }()
	l.acknowledge(1)
	if err := <-waiting; err != nil {
		t.Error(err)
	}
	go func() { waiting <- l.output(ctx, "a", chunk) }()
	cancel(ErrCancelled)
	if err := <-waiting; err != ErrCancelled {
		t.Error(err)
	}
}

func TestOutputThatCannotGoIsRefused(t *testing.T) {
	l := openLedger("a")
	chunk := &jobstreamv1.Output{Payload: &jobstreamv1.Payload{Body: &jobstreamv1.Payload_Data{Data: make([]byte, 1<<20+1)}}}
	if err := l.output(context.Background(), "a", chunk); !errors.As(err, new(*InvalidRequest)) {
		t.Error(err)
	}
	if err := l.output(context.Background(), "gone", chunk); err != ErrLeaseLost {
		t.Error(err)
	}
}

func TestDroppedLogLinesAreCounted(t *testing.T) {
	l := openLedger("a")
	line := &jobstreamv1.Log{Text: strings.Repeat("x", logBytesMax)}
	const fitting = roomBytes / (reportBytes + logBytesMax)
	for range fitting + 3 {
		l.log("a", line)
	}
	l.acknowledge(2)
	l.log("a", line)
	note := l.reports[len(l.reports)-2].report.GetLog()
	if note == nil || !strings.HasPrefix(note.Text, "3 log lines were dropped here") {
		t.Error(note)
	}
}

func TestResultThatIsTooLargeFailsTheAttempt(t *testing.T) {
	l := openLedger("a")
	l.end(l.attempts["a"], completed(strings.Repeat("x", 1<<20+1)))
	failure := l.reports[0].report.GetFail().GetFailure()
	if failure.GetReason() != jobstreamv1.FailureReason_FAILURE_REASON_RESULT_TOO_LARGE || failure.Retryable {
		t.Error(failure)
	}
}

func TestMessagesToTheServerStaySmall(t *testing.T) {
	l := openLedger("a")
	for range 100 {
		l.log("a", &jobstreamv1.Log{Text: strings.Repeat("x", 400)})
	}
	total := 0
	for request, _ := l.next(); request != nil; request, _ = l.next() {
		if size := len(request.Reports); size > requestBytes/400 {
			t.Error(size)
		}
		total += len(request.Reports)
	}
	if total != 100 {
		t.Error(total)
	}
}

func TestMessagesOfAHundredThousandLeasesFitWhatServersRead(t *testing.T) {
	leases := make([]string, 100_000)
	for i := range leases {
		leases[i] = fmt.Sprintf("%036d", i)
	}
	l := openLedger(leases...)
	l.beat()
	chunk := &jobstreamv1.Output{Payload: &jobstreamv1.Payload{Body: &jobstreamv1.Payload_Data{Data: make([]byte, 1<<20)}}}
	if err := l.output(context.Background(), leases[0], chunk); err != nil {
		t.Fatal(err)
	}
	beats, accepts, reports, largest := map[string]bool{}, map[string]bool{}, 0, 0
	for request, _ := l.next(); request != nil; request, _ = l.next() {
		largest = max(largest, proto.Size(request))
		for _, lease := range request.GetHeartbeat().GetLeaseIds() {
			beats[lease] = true
		}
		for _, lease := range request.AcceptedLeaseIds {
			accepts[lease] = true
		}
		reports += len(request.Reports)
	}
	if len(beats) != len(leases) || len(accepts) != len(leases) || reports != 1 {
		t.Error(len(beats), len(accepts), reports)
	}
	if largest > 1<<20+4096 {
		t.Errorf("a message has %d bytes", largest)
	}
	if hello := l.greet(&jobstreamv1.Hello{}); proto.Size(hello) > 4<<20 {
		t.Errorf("the greeting has %d bytes", proto.Size(hello))
	}
}
