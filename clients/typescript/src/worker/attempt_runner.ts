// The desk that runs attempts, whatever becomes of the connection.

import type { Assignment } from "../gen/jobstream/v1/worker_service_pb.js";
import { Bell } from "./bell.js";
import { Context } from "./context.js";
import { type Duty, conclude } from "./handler.js";
import type { Ledger } from "./ledger.js";
import { failed, released, stopped } from "./verdict.js";

/** Why an attempt is told to stop: its job was cancelled, its lease was lost, or the worker ends. */
export type StopReason = "cancelled" | "lost" | "ending";

const WHY: Record<StopReason, string> = {
  cancelled: "the job was cancelled",
  lost: "the lease was lost: the server gives the job to another worker",
  ending: "the worker ends and gives the job back",
};

/** As if its handler had stopped at once. */
const NEVER_BEGUN = { news: released(), bytes: 0, hasThrown: true };

interface Running {
  readonly controller: AbortController;
  why: StopReason | undefined;
}

/** Runs the attempts of one worker. */
export class Desk {
  readonly #running = new Map<string, Running>();
  readonly #bell = new Bell();

  constructor(
    readonly duties: ReadonlyMap<string, Duty>,
    readonly ledger: Ledger,
  ) {}

  /** How many attempts run. */
  get size(): number {
    return this.#running.size;
  }

  /** Begins an attempt. */
  run(assignment: Assignment): void {
    const lease = assignment.leaseId;
    const running: Running = { controller: new AbortController(), why: undefined };
    this.#running.set(lease, running);
    this.ledger.begin(lease);
    // It never rejects: whatever goes wrong is how the attempt ends.
    void this.#attempt(assignment, running);
  }

  /** Tells an attempt to stop, if it still runs. The first reason stands, but what is lost is lost. */
  stop(lease: string, why: StopReason): void {
    const running = this.#running.get(lease);
    if (running !== undefined) {
      running.why = why === "lost" ? why : (running.why ?? why);
      running.controller.abort(new DOMException(WHY[why], "AbortError"));
      this.ledger.bell.ring();
    }
  }

  stopAll(why: StopReason): void {
    for (const lease of this.#running.keys()) {
      this.stop(lease, why);
    }
  }

  /** Gives back what still runs, and forgets it: handlers that do not stop are left behind. */
  abandonAll(): void {
    for (const lease of this.#running.keys()) {
      this.ledger.end(lease, released(), 0);
    }
    this.#running.clear();
    this.#bell.ring();
  }

  /** Returns once no attempt runs. */
  idle(): Promise<void> {
    return this.#bell.until(() => this.#running.size === 0);
  }

  async #attempt(assignment: Assignment, running: Running): Promise<void> {
    const lease = assignment.leaseId;
    const { signal } = running.controller;
    // A job that a broken connection gives back should not have begun here.
    await this.ledger.untilAccepted(lease, signal);
    const conclusion = signal.aborted ? NEVER_BEGUN : await this.#conclude(assignment, signal);
    if (this.#running.get(lease) !== running) {
      return;
    }
    this.#running.delete(lease);
    const { why } = running;
    if (why !== undefined && conclusion.hasThrown) {
      this.ledger.end(lease, why === "cancelled" ? stopped() : released(), 0);
    } else {
      this.ledger.end(lease, conclusion.news, conclusion.bytes);
    }
    this.#bell.ring();
  }

  async #conclude(assignment: Assignment, signal: AbortSignal) {
    try {
      const context = new Context(assignment, this.ledger, signal);
      return await conclude(this.duties.get(assignment.kind), context, this.ledger.limits);
    } catch (error) {
      // A payload that a newer server wrote in a way that is not known here.
      return { news: failed("BAD_PAYLOAD", String(error)), bytes: 0, hasThrown: false };
    }
  }
}
