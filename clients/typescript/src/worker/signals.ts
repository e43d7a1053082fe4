// The signals that end a worker.

const SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** Calls this for each SIGTERM and SIGINT, in place of the process's end, until the answer is called. */
export function onSignals(told: () => void): () => void {
  for (const signal of SIGNALS) {
    process.on(signal, told);
  }
  return () => {
    for (const signal of SIGNALS) {
      process.off(signal, told);
    }
  };
}
