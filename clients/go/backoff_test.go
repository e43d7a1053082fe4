package jobstream

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

func TestBackoffIsRandomBelowAGrowingLimit(t *testing.T) {
	var longest time.Duration
	for range 200 {
		pauses := newBackoff(100*time.Millisecond, time.Second)
		for _, bound := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
			pause := pauses.pause(0)
			if pause > bound*time.Millisecond {
				t.Errorf("%v of %v ms", pause, bound)
			}
			longest = max(longest, pause)
		}
	}
	if longest < 800*time.Millisecond {
		t.Error(longest)
	}
}

func TestBackoffAddsTheDelayOfTheServer(t *testing.T) {
	pauses := newBackoff(100*time.Millisecond, time.Second)
	if pause := pauses.pause(7 * time.Second); pause < 7*time.Second || pause > 7100*time.Millisecond {
		t.Error(pause)
	}
}

func TestReconnectGivesUpAfterPatienceAndAResponseResetsIt(t *testing.T) {
	settings := defaultSettings()
	settings.patience = time.Minute
	reconnect := newReconnectBackoff(&settings)
	start := time.Now()
	retryAt := func(second time.Duration) error {
		_, err := reconnect.pause(unreachable(testAddress, "away"), start.Add(second*time.Second))
		return err
	}
	for _, second := range []time.Duration{0, 30, 54} {
		if err := retryAt(second); err != nil {
			t.Fatal(err)
		}
	}
	if err := retryAt(61); !errors.As(err, new(*Unavailable)) {
		t.Fatal(err)
	}
	reconnect.reset()
	if err := retryAt(62); err != nil {
		t.Error(err)
	}
}

func TestReconnectReturnsPermanentErrors(t *testing.T) {
	settings := defaultSettings()
	gone := &JobNotFound{&Error{Code: codes.NotFound}}
	if _, err := newReconnectBackoff(&settings).pause(gone, time.Now()); err != error(gone) {
		t.Error(err)
	}
}
