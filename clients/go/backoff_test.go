package jobstream

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

func TestPausesAreChanceBelowABoundThatGrows(t *testing.T) {
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

func TestWhatTheServerAsksForComesOnTop(t *testing.T) {
	pauses := newBackoff(100*time.Millisecond, time.Second)
	if pause := pauses.pause(7 * time.Second); pause < 7*time.Second || pause > 7100*time.Millisecond {
		t.Error(pause)
	}
}

func TestPatienceEndsAndAWordRenewsIt(t *testing.T) {
	settings := defaultSettings()
	settings.patience = time.Minute
	endurance := newEndurance(&settings)
	start := time.Now()
	borneAt := func(second time.Duration) error {
		_, err := endurance.pause(unreachable(testAddress, "away"), start.Add(second*time.Second))
		return err
	}
	for _, second := range []time.Duration{0, 30, 54} {
		if err := borneAt(second); err != nil {
			t.Fatal(err)
		}
	}
	if err := borneAt(61); !errors.As(err, new(*Unavailable)) {
		t.Fatal(err)
	}
	endurance.renew()
	if err := borneAt(62); err != nil {
		t.Error(err)
	}
}

func TestWhatCannotPassIsNotBorne(t *testing.T) {
	settings := defaultSettings()
	gone := &JobNotFound{&Error{Code: codes.NotFound}}
	if _, err := newEndurance(&settings).pause(gone, time.Now()); err != error(gone) {
		t.Error(err)
	}
}
