// Signal handling of a worker.

const SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** Calls the listener for each SIGTERM and SIGINT, until the returned function is called. */
export function onSignals(onSignal: () => void): () => void {
  for (const signal of SIGNALS) {
    process.on(signal, onSignal);
  }
  return () => {
    for (const signal of SIGNALS) {
      process.off(signal, onSignal);
    }
  };
}
