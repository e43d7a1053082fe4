package jobstream

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
)

// backoff is the pauses of one series of tries.
type backoff struct {
	next, longest time.Duration
}

func newBackoff(first, longest time.Duration) backoff {
	return backoff{next: min(first, longest), longest: longest}
}

// pause is chance, so that clients which lost the same server do not come back together, and what the server asks for on
// top, so that it is never undercut.
func (b *backoff) pause(asked time.Duration) time.Duration {
	pause := time.Duration(rand.Float64() * float64(b.next))
	b.next = min(2*b.next, b.longest)
	return pause + asked
}

// sleep returns false if the context ended first.
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

// endurance is how long a watch or a wait has been without a word of the server, and how long it may be.
type endurance struct {
	settings  *settings
	backoff   backoff
	lostSince time.Time
}

func newEndurance(settings *settings) *endurance {
	e := &endurance{settings: settings}
	e.renew()
	return e
}

// renew notes that the server spoke.
func (e *endurance) renew() {
	e.lostSince = time.Time{}
	e.backoff = newBackoff(e.settings.tries.FirstPause, e.settings.tries.LongestPause)
}

// bear pauses before the next try. It answers the same error if trying again does not help, or has not for as long as
// patience lasts.
func (e *endurance) bear(ctx context.Context, err error) error {
	pause, err := e.pause(err, time.Now())
	if err != nil {
		return err
	}
	if !sleep(ctx, pause) {
		return contextError(ctx.Err())
	}
	return nil
}

func (e *endurance) pause(err error, now time.Time) (time.Duration, error) {
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
		return 0, givenUp(err, lost.Round(100*time.Millisecond).String()+" without a word of it")
	}
	return pause, nil
}
