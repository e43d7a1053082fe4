package jobstream

import (
	"os"
	"os/signal"
	"syscall"
)

// handleSignals drains the worker at the first signal and stops it at the second, until the returned function is
// called.
func (w *Worker) handleSignals() (stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	// Without a receiver for SIGPIPE, a write to a closed stderr would end the process.
	brokenPipes := make(chan os.Signal, 1)
	signal.Notify(brokenPipes, syscall.SIGPIPE)
	go func() {
		within := w.drainTimeout
		for range signals {
			w.drainWithin(within)
			within = 0
		}
	}()
	return func() {
		signal.Stop(brokenPipes)
		signal.Stop(signals)
		close(signals)
	}
}
