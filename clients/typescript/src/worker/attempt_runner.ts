// Runs the attempts of a worker, independent of its connection.

import type { Assignment } from "../gen/jobstream/v1/worker_service_pb.js";
import { Condition } from "./condition.js";
import { Context } from "./context.js";
import { type AttemptResult, type HandlerInterceptor, type RegisteredHandler, runHandler } from "./handler.js";
import type { WorkerLog } from "./log.js";
import type { ReportBuffer } from "./report_buffer.js";
import { failed, release, stopped } from "./final_report.js";
import { Settlement, leaseLost } from "./settlement.js";

/** Why an attempt is cancelled: its job was cancelled, its lease was lost, or the worker is draining. */
export type StopReason = "cancelled" | "lost" | "ending";

const REASON_TEXT: Record<StopReason, string> = {
  cancelled: "the job was cancelled",
  lost: "the lease was lost: the server assigns the job to another worker",
  ending: "the worker is draining and releases the job",
};

/** The result of an attempt that was cancelled before its handler started. */
const NOT_STARTED: AttemptResult = { body: release(), bytes: 0, hasThrown: true, thrown: [] };

interface Running {
  readonly controller: AbortController;
  readonly settlement: Settlement;
  reason: StopReason | undefined;
}

/** Starts, cancels and tracks the running attempts. */
export class AttemptRunner {
  readonly #running = new Map<string, Running>();
  readonly #changed = new Condition();

  constructor(
    readonly handlers: ReadonlyMap<string, RegisteredHandler>,
    readonly interceptors: readonly HandlerInterceptor[],
    readonly buffer: ReportBuffer,
    readonly log: WorkerLog,
  ) {}

  /** Number of running attempts. */
  get size(): number {
    return this.#running.size;
  }

  /** Starts an attempt, unless the worker drains. */
  run(assignment: Assignment): void {
    const lease = assignment.leaseId;
    const settlement = new Settlement(assignment, this.log);
    if (!this.buffer.begin(lease, settlement)) {
      return;
    }
    const running: Running = { controller: new AbortController(), settlement, reason: undefined };
    this.#running.set(lease, running);
    // This promise never rejects: errors become the failure of the attempt.
    void this.#attempt(assignment, running);
  }

  /** Cancels an attempt, if it is running. The first reason is kept, except that "lost" replaces it. */
  stop(lease: string, reason: StopReason): void {
    const running = this.#running.get(lease);
    if (running !== undefined) {
      running.reason = reason === "lost" ? reason : (running.reason ?? reason);
      running.controller.abort(new DOMException(REASON_TEXT[reason], "AbortError"));
      this.buffer.changed.notify();
    }
  }

  stopAll(reason: StopReason): void {
    for (const lease of this.#running.keys()) {
      this.stop(lease, reason);
    }
  }

  /** Releases the running attempts. Their handlers may keep running. */
  abandonAll(): void {
    for (const [lease, { settlement }] of this.#running) {
      // What the handler still returns is not used.
      settlement.settle(leaseLost());
      this.buffer.end(lease, release(), 0);
    }
    this.#running.clear();
    this.#changed.notify();
  }

  /** Resolves once no attempt is running. */
  idle(): Promise<void> {
    return this.#changed.until(() => this.#running.size === 0);
  }

  async #attempt(assignment: Assignment, running: Running): Promise<void> {
    const lease = assignment.leaseId;
    const { controller, settlement } = running;
    const { signal } = controller;
    // The handler starts only after the acceptance was sent: the server assigns a job that is not accepted to another
    // worker.
    await this.buffer.waitAccepted(lease, signal);
    const result = signal.aborted ? NOT_STARTED : await this.#runHandler(assignment, signal, settlement);
    settlement.returned();
    if (this.#running.get(lease) !== running) {
      return;
    }
    this.#running.delete(lease);
    const { reason } = running;
    if (reason !== undefined && result.hasThrown) {
      this.buffer.end(lease, reason === "cancelled" ? stopped() : release(), 0);
    } else {
      this.#end(assignment, result);
    }
    this.#changed.notify();
  }

  #end(assignment: Assignment, { body, bytes, thrown }: AttemptResult): void {
    this.buffer.end(assignment.leaseId, body, bytes);
    if (body.case === "fail" && body.value.failure !== undefined) {
      this.log.attemptFailed(assignment, body.value.failure, thrown);
    }
  }

  async #runHandler(assignment: Assignment, signal: AbortSignal, settlement: Settlement): Promise<AttemptResult> {
    try {
      const context = Context.of(assignment, this.buffer, signal, settlement);
      return await runHandler(this.handlers.get(assignment.kind), this.interceptors, context, this.buffer.limits);
    } catch (error) {
      // The payload has a form that this client does not know.
      return { body: failed("BAD_PAYLOAD", String(error)), bytes: 0, hasThrown: false, thrown: [] };
    }
  }
}
