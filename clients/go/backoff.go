package jobstream

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
)

// backoff computes the delays of one series of retries: exponential back-off with full jitter.
type backoff struct {
	next, longest time.Duration
}

func newBackoff(first, longest time.Duration) backoff {
	return backoff{next: min(first, longest), longest: longest}
}

// pause returns a random part of the current back-off plus the delay requested by the server. The jitter keeps clients
// that lost the same server from reconnecting at the same time.
func (b *backoff) pause(requested time.Duration) time.Duration {
	pause := time.Duration(rand.Float64() * float64(b.next))
	b.next = min(2*b.next, b.longest)
	return pause + requested
}

// sleep returns false if the context ends first.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// reconnectBackoff is the back-off of a watch or a long poll. It gives up when the server has not responded for the
// duration of patience.
type reconnectBackoff struct {
	settings  *settings
	backoff   backoff
	lostSince time.Time
	fresh     newToken
}

func newReconnectBackoff(settings *settings) *reconnectBackoff {
	e := &reconnectBackoff{settings: settings, fresh: newToken{hasFunc: settings.hasTokenFunc}}
	e.reset()
	return e
}

// reset records a response from the server.
func (e *reconnectBackoff) reset() {
	e.lostSince = time.Time{}
	e.fresh.reset()
	e.backoff = newBackoff(e.settings.tries.FirstPause, e.settings.tries.LongestPause)
}

// waitRetry sleeps before the next connection. It returns an error if err is not transient, patience has passed or the
// context ended.
func (e *reconnectBackoff) waitRetry(ctx context.Context, err error) error {
	pause, err := e.pause(err, time.Now())
	if err != nil {
		return err
	}
	if !sleep(ctx, pause) {
		return contextError(ctx.Err())
	}
	return nil
}

func (e *reconnectBackoff) pause(err error, now time.Time) (time.Duration, error) {
	if e.fresh.take(err) {
		return 0, nil
	}
	base := baseOf(err)
	if !isTransient(err) && base.Code != codes.DeadlineExceeded {
		return 0, err
	}
	if e.lostSince.IsZero() {
		e.lostSince = now
	}
	lost := now.Sub(e.lostSince)
	pause := e.backoff.pause(base.RetryAfter)
	if lost+pause > e.settings.patience {
		return 0, retriesExhausted(err, lost.Round(100*time.Millisecond).String()+" without a response")
	}
	return pause, nil
}
