package jobstream

import (
	"os"
	"os/signal"
	"syscall"
)

// heedSignals drains the worker at the first signal and stops it at the second. What it answers ends that.
func (w *Worker) heedSignals() (unheed func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	// Somebody who is notified keeps a write to a stderr that nobody reads from ending the process.
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
