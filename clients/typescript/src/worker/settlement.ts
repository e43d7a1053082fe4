// What the server made of the end of an attempt, and the callbacks that learn of it.

import { IllegalState, type JobstreamError, Unavailable } from "../errors.js";
import type { Assignment } from "../gen/jobstream/v1/worker_service_pb.js";
import type { WorkerLog } from "./log.js";

/** Learns of the end of an attempt: without an error once the server has acknowledged it. A promise is not awaited. */
export type SettledCallback = (error?: JobstreamError) => unknown;

/** The settlement of one attempt. It calls the callbacks once the handler has returned and the server has answered. */
export class Settlement {
  #callbacks: SettledCallback[] | undefined;
  #hasReturned = false;
  #isSettled = false;
  #error: JobstreamError | undefined;

  constructor(
    readonly assignment: Assignment,
    readonly log: WorkerLog,
  ) {}

  /** @throws IllegalState if the handler has returned. */
  add(callback: SettledCallback): void {
    if (this.#hasReturned) {
      throw new IllegalState(`the attempt of job ${this.assignment.jobId} has ended: call onSettled in its handler`);
    }
    (this.#callbacks ??= []).push(callback);
  }

  /** The handler and its interceptors have returned. */
  returned(): void {
    this.#hasReturned = true;
    this.#call();
  }

  /** The server has acknowledged the end of the attempt, or this error is known. The first call counts. */
  settle(error?: JobstreamError): void {
    if (!this.#isSettled) {
      this.#isSettled = true;
      this.#error = error;
      this.#call();
    }
  }

  #call(): void {
    if (!this.#hasReturned || !this.#isSettled || this.#callbacks === undefined) {
      return;
    }
    const callbacks = this.#callbacks;
    this.#callbacks = undefined;
    for (const callback of callbacks) {
      try {
        Promise.resolve(callback(this.#error)).catch(this.#logError.bind(this));
      } catch (error) {
        this.#logError(error);
      }
    }
  }

  #logError(error: unknown): void {
    this.log.callbackFailed(this.assignment, error);
  }
}

/** The error of an attempt whose lease was lost. */
export function leaseLost(): JobstreamError {
  const message = "the lease was lost before the attempt ended: its end does not count";
  return new IllegalState(message, { code: "FAILED_PRECONDITION", reason: "LEASE_LOST" });
}

/** The error of an attempt whose end was not acknowledged. */
export function notAcknowledged(): JobstreamError {
  const message = "the server did not acknowledge the end of the attempt: it may be recorded or not";
  return new Unavailable(message, { code: "UNAVAILABLE" });
}
