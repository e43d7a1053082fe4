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

// openReportBuffer returns a buffer with running attempts that the server knows.
func openReportBuffer(leases ...string) *reportBuffer {
	b := newReportBuffer(4, func(any) {})
	for _, lease := range leases {
		_, cancel := context.WithCancelCause(context.Background())
		b.begin(&attempt{lease: lease, cancel: cancel, acceptSent: make(chan struct{})})
	}
	b.beginStream(&jobstreamv1.Hello{})
	b.applyWelcome(testWelcome(leases...))
	return b
}

func testWelcome(standing ...string) *jobstreamv1.Welcome {
	return &jobstreamv1.Welcome{
		Lease: durationpb.New(30 * time.Second), StandingLeaseIds: standing, PayloadBytesMax: 1 << 20,
	}
}

func completed(text string) *jobstreamv1.AttemptReport {
	return finalReport(context.Background(), Text(text), nil)
}

func TestAttemptWithALostLeaseOccupiesItsSlotUntilItStops(t *testing.T) {
	b := openReportBuffer("a", "b")
	b.beginStream(&jobstreamv1.Hello{})
	b.applyWelcome(testWelcome("b"))
	if request, _ := b.nextRequest(); request.GetSlots() != 3 {
		t.Error(request)
	}
	b.handlerReturned(b.attempts["a"], completed("late"))
	if request, _ := b.nextRequest(); request.GetSlots() != 4 || request.Reports != nil {
		t.Error(request)
	}
}

func TestReportsAreSentAgainWithTheirNumbersUntilAcknowledged(t *testing.T) {
	b := openReportBuffer("a", "b")
	b.log("a", &jobstreamv1.Log{Text: "line"})
	b.handlerReturned(b.attempts["b"], completed("done"))
	first, _ := b.nextRequest()
	hello := b.beginStream(&jobstreamv1.Hello{}).Hello
	if len(hello.HeldLeaseIds) != 2 {
		t.Error(hello.HeldLeaseIds)
	}
	welcome := testWelcome("a", "b")
	welcome.AckedReportSequence = 1
	b.applyWelcome(welcome)
	again, _ := b.nextRequest()
	if len(first.Reports) != 2 || len(again.Reports) != 1 || again.Reports[0].ReportSequence != 2 {
		t.Error(first, again)
	}
	b.acknowledge(2)
	if !b.waitAcknowledged(context.Background()) || b.bufferedBytes != 0 {
		t.Error(b.reports, b.bufferedBytes)
	}
}

func TestOnlyTheNewestProgressIsSent(t *testing.T) {
	b := openReportBuffer("a")
	b.nextRequest()
	for _, message := range []string{"first", "second", "newest"} {
		b.progress("a", &jobstreamv1.Progress{Message: message})
	}
	request, _ := b.nextRequest()
	if len(request.Reports) != 1 || request.Reports[0].GetProgress().Message != "newest" {
		t.Error(request)
	}
}

func TestOutputWaitsForFreeSpaceOrTheEndOfItsContext(t *testing.T) {
	b := openReportBuffer("a")
	chunk := &jobstreamv1.Output{Payload: &jobstreamv1.Payload{Body: &jobstreamv1.Payload_Data{Data: make([]byte, 1<<20)}}}
	ctx, cancel := context.WithCancelCause(context.Background())
	for range bufferBytesMax>>20 - 1 {
		if err := b.output(ctx, "a", chunk); err != nil {
			t.Fatal(err)
		}
	}
	waiting := make(chan error)
	go func() { waiting <- b.output(ctx, "a", chunk) }()
	b.acknowledge(1)
	if err := <-waiting; err != nil {
		t.Error(err)
	}
	go func() { waiting <- b.output(ctx, "a", chunk) }()
	cancel(ErrCancelled)
	if err := <-waiting; err != ErrCancelled {
		t.Error(err)
	}
}

func TestOutputOverTheLimitOrWithoutALeaseIsRejected(t *testing.T) {
	b := openReportBuffer("a")
	chunk := &jobstreamv1.Output{Payload: &jobstreamv1.Payload{Body: &jobstreamv1.Payload_Data{Data: make([]byte, 1<<20+1)}}}
	if err := b.output(context.Background(), "a", chunk); !errors.As(err, new(*InvalidRequest)) {
		t.Error(err)
	}
	if err := b.output(context.Background(), "gone", chunk); err != ErrLeaseLost {
		t.Error(err)
	}
}

func TestDroppedLogLinesAreCounted(t *testing.T) {
	b := openReportBuffer("a")
	line := &jobstreamv1.Log{Text: strings.Repeat("x", logBytesMax)}
	const fitting = bufferBytesMax / (reportBytes + logBytesMax)
	for range fitting + 3 {
		b.log("a", line)
	}
	b.acknowledge(2)
	b.log("a", line)
	note := b.reports[len(b.reports)-2].report.GetLog()
	if note == nil || !strings.HasPrefix(note.Text, "3 log lines were dropped here") {
		t.Error(note)
	}
}

func TestResultThatIsTooLargeFailsTheAttempt(t *testing.T) {
	b := openReportBuffer("a")
	b.handlerReturned(b.attempts["a"], b.limitResult(completed(strings.Repeat("x", 1<<20+1))))
	failure := b.reports[0].report.GetFail().GetFailure()
	if failure.GetReason() != jobstreamv1.FailureReason_FAILURE_REASON_RESULT_TOO_LARGE || failure.Retryable {
		t.Error(failure)
	}
}

func TestMessagesToTheServerStaySmall(t *testing.T) {
	b := openReportBuffer("a")
	for range 100 {
		b.log("a", &jobstreamv1.Log{Text: strings.Repeat("x", 400)})
	}
	total := 0
	for request, _ := b.nextRequest(); request != nil; request, _ = b.nextRequest() {
		if size := len(request.Reports); size > requestBytes/400 {
			t.Error(size)
		}
		total += len(request.Reports)
	}
	if total != 100 {
		t.Error(total)
	}
}

func TestMessagesOfAHundredThousandLeasesFitTheReceiveLimit(t *testing.T) {
	leases := make([]string, 100_000)
	for i := range leases {
		leases[i] = fmt.Sprintf("%036d", i)
	}
	b := openReportBuffer(leases...)
	b.requestHeartbeat()
	chunk := &jobstreamv1.Output{Payload: &jobstreamv1.Payload{Body: &jobstreamv1.Payload_Data{Data: make([]byte, 1<<20)}}}
	if err := b.output(context.Background(), leases[0], chunk); err != nil {
		t.Fatal(err)
	}
	heartbeatLeases, acceptedLeases, reports, largest := map[string]bool{}, map[string]bool{}, 0, 0
	for request, _ := b.nextRequest(); request != nil; request, _ = b.nextRequest() {
		largest = max(largest, proto.Size(request))
		for _, lease := range request.GetHeartbeat().GetLeaseIds() {
			heartbeatLeases[lease] = true
		}
		for _, lease := range request.AcceptedLeaseIds {
			acceptedLeases[lease] = true
		}
		reports += len(request.Reports)
	}
	if len(heartbeatLeases) != len(leases) || len(acceptedLeases) != len(leases) || reports != 1 {
		t.Error(len(heartbeatLeases), len(acceptedLeases), reports)
	}
	if largest > 1<<20+4096 {
		t.Errorf("a message has %d bytes", largest)
	}
	if hello := b.beginStream(&jobstreamv1.Hello{}); proto.Size(hello) > 4<<20 {
		t.Errorf("Hello has %d bytes", proto.Size(hello))
	}
}

// settledErrors registers a callback for a running attempt. It returns the errors that the callback received.
func settledErrors(b *reportBuffer, lease string) *[]error {
	received := &[]error{}
	b.onSettled(b.attempts[lease], func(err error) { *received = append(*received, err) })
	return received
}

func TestAttemptIsSettledWithItsFinalReport(t *testing.T) {
	b := openReportBuffer("a", "b", "c", "d")
	attempts := []string{"a", "b", "c", "d"}
	received := map[string]*[]error{}
	for _, lease := range attempts {
		received[lease] = settledErrors(b, lease)
		a := b.attempts[lease]
		b.log(lease, &jobstreamv1.Log{Text: "line"})
		b.handlerReturned(a, completed("done"))
		b.onSettled(a, func(error) { t.Error("a callback that was registered after the end was called") })
	}
	other := errors.New("refused for another reason")
	b.refuse(&jobstreamv1.ReportRefusal{LeaseId: "b", ReportSequence: 4}, ErrLeaseLost)
	b.refuse(&jobstreamv1.ReportRefusal{LeaseId: "c", ReportSequence: 6}, other)
	b.acknowledge(1)
	if got := *received["a"]; len(got) != 0 {
		t.Error("the acknowledgement of a log line settled the attempt", got)
	}
	b.acknowledge(6)
	b.beginStream(&jobstreamv1.Hello{})
	b.applyWelcome(testWelcome())
	for lease, expected := range map[string]error{"a": nil, "b": ErrLeaseLost, "c": other, "d": ErrLeaseLost} {
		if got := *received[lease]; len(got) != 1 || got[0] != expected {
			t.Error(lease, got)
		}
	}
}

func TestWelcomeAcknowledgesReports(t *testing.T) {
	b := openReportBuffer("a", "b")
	acknowledged, lost := settledErrors(b, "a"), settledErrors(b, "b")
	b.handlerReturned(b.attempts["a"], completed("done"))
	b.handlerReturned(b.attempts["b"], completed("done"))
	b.beginStream(&jobstreamv1.Hello{})
	welcome := testWelcome()
	welcome.AckedReportSequence = 1
	b.applyWelcome(welcome)
	if len(*acknowledged) != 1 || (*acknowledged)[0] != nil || len(*lost) != 1 || (*lost)[0] != ErrLeaseLost {
		t.Error(*acknowledged, *lost)
	}
	if b.calling != 0 || len(b.reports) != 0 {
		t.Error(b.calling, b.reports)
	}
}
