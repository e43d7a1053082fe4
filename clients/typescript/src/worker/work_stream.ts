// One Work stream of a worker, from Hello to its end.

import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";

import { Scope, pause } from "../client/scope.js";
import { readStatus } from "../client/status.js";
import { now, spanOf } from "../data/span.js";
import { StatusSchema } from "../gen/google/rpc/status_pb.js";
import type { NodeConnection } from "../node/connection.js";
import {
  type AttemptCancel,
  type Drain,
  type Hello,
  type ReportAck,
  type ReportRefusal,
  type Welcome,
  type WorkResponse,
  WorkerService,
} from "../gen/jobstream/v1/worker_service_pb.js";
import type { AttemptRunner } from "./attempt_runner.js";
import type { ReportBuffer } from "./report_buffer.js";
import { Requests } from "./requests.js";
import { leaseLost } from "./settlement.js";

/** Longest time in milliseconds for the server to respond to Hello. */
const WELCOME_TIME_MAX = 10_000;
/** Number of ping intervals without a message after which the stream is closed. */
const MISSED_PINGS_MAX = 3;
/** Shortest idle timeout in milliseconds. */
const IDLE_TIMEOUT_MIN = 50;
/** The status code of a report whose lease was lost. */
const LEASE_LOST: number = Code.FailedPrecondition;
/** Time in milliseconds for handlers to return after their signal was aborted. */
export const STOP_TIME_MAX = 1_000;
/** Time in milliseconds to wait for the acknowledgement of the last reports. */
export const ACKNOWLEDGE_TIME_MAX = 2_000;

/** Callbacks of a stream. */
export interface Listener {
  onWelcome(welcome: Welcome): void;
  /** An operator drains the worker. `timeLeft` is in milliseconds. */
  onDrain(timeLeft: number): void;
  /** The server rejected a report for a reason other than its lease. */
  onRejection(message: string): void;
}

export class WorkStream {
  readonly #scope = new Scope();
  readonly #requests: Requests;
  #idleTimeout = WELCOME_TIME_MAX;
  #isWelcome = false;

  constructor(
    readonly buffer: ReportBuffer,
    readonly runner: AttemptRunner,
    readonly listener: Listener,
    hello: Hello,
  ) {
    this.#requests = new Requests(buffer, hello);
  }

  /** Runs the stream until the server closes it or the client is closed. Throws the error that ended it. */
  async run(connection: NodeConnection): Promise<void> {
    this.#scope.follow(connection.closed);
    const session = connection.dedicated();
    const workers = createClient(WorkerService, session.transport);
    try {
      this.#restartTimer();
      for await (const response of workers.work(this.#requests, { signal: this.#scope.signal })) {
        this.#restartTimer();
        this.#handle(response, connection.address);
      }
      if (!this.#isWelcome) {
        throw new ConnectError("the server closed the stream before Welcome", Code.Unavailable);
      }
    } catch (error) {
      const { signal } = this.#scope;
      throw signal.aborted ? signal.reason : error;
    } finally {
      this.#requests.abort();
      this.#scope.abort(undefined);
      this.#scope.close();
      connection.closeDedicated(session);
    }
  }

  /** Closes the request side after all buffered reports were sent. */
  end(): void {
    this.#requests.end();
  }

  /** Aborts the stream immediately. */
  abort(message: string): void {
    this.#scope.abort(new ConnectError(message, Code.Aborted));
  }

  get isWelcome(): boolean {
    return this.#isWelcome;
  }

  #restartTimer(): void {
    this.#scope.abortAfter(this.#idleTimeout, () => {
      const what = this.#isWelcome
        ? "no message from the server for three ping intervals"
        : "the server did not respond to Hello";
      return new ConnectError(what, Code.DeadlineExceeded);
    });
  }

  /** Handles a message in the order of its fields. */
  #handle({ welcome, assignments, cancels, ack, ping, drain }: WorkResponse, address: string): void {
    if (welcome !== undefined) {
      this.#welcome(welcome, address);
    }
    if (!this.#isWelcome) {
      throw new ConnectError("the first message of the server is not Welcome", Code.Unavailable);
    }
    for (const assignment of assignments) {
      this.runner.run(assignment);
    }
    for (const cancel of cancels) {
      this.#cancel(cancel);
    }
    if (ack !== undefined) {
      this.#acknowledge(ack, address);
    }
    if (ping !== undefined) {
      this.buffer.heartbeatRequested = true;
      this.buffer.changed.notify();
    }
    if (drain !== undefined) {
      this.#drain(drain);
    }
  }

  #welcome(welcome: Welcome, address: string): void {
    this.#refuse(welcome.refusals, address);
    const lost = this.buffer.welcome({
      lease: spanOf(welcome.lease),
      payloadBytesMax: welcome.payloadBytesMax,
      messageBytesMax: welcome.messageBytesMax,
      acked: Number(welcome.ackedReportSequence),
      unknown: Number(welcome.unknownReportSequence),
      standing: new Set(welcome.standingLeaseIds),
    });
    for (const lease of lost) {
      this.runner.stop(lease, "lost");
    }
    this.#isWelcome = true;
    this.#idleTimeout = Math.max(IDLE_TIMEOUT_MIN, MISSED_PINGS_MAX * spanOf(welcome.pingInterval));
    this.#restartTimer();
    this.#requests.open();
    this.listener.onWelcome(welcome);
  }

  #cancel({ leaseId, revoked }: AttemptCancel): void {
    this.runner.stop(leaseId, revoked ? "lost" : "cancelled");
    if (revoked) {
      this.buffer.lose(leaseId, leaseLost());
    }
  }

  #acknowledge({ reportSequence, refusals }: ReportAck, address: string): void {
    this.#refuse(refusals, address);
    this.buffer.acknowledge(Number(reportSequence));
  }

  #refuse(refusals: ReportRefusal[], address: string): void {
    for (const { leaseId, reportSequence: refused, error = create(StatusSchema) } of refusals) {
      if (error.code === LEASE_LOST) {
        this.runner.stop(leaseId, "lost");
        this.buffer.lose(leaseId, readStatus(error, address));
      } else {
        this.listener.onRejection(`the server rejected a report: ${error.message}`);
        this.buffer.refuse(Number(refused), readStatus(error, address));
      }
    }
  }

  #drain({ timeLeft, serverShutdown }: Drain): void {
    if (serverShutdown) {
      // This promise never rejects.
      void this.#drainStream(spanOf(timeLeft));
    } else {
      this.listener.onDrain(spanOf(timeLeft));
    }
  }

  /**
   * Drains before the server shuts down: waits for running attempts, releases the rest and waits for the
   * acknowledgement of their reports.
   */
  async #drainStream(timeLeft: number): Promise<void> {
    const { signal } = this.#scope;
    await within(timeLeft, this.runner.idle(), signal);
    if (!signal.aborted) {
      await releaseRunning(this.runner, signal);
      await within(
        ACKNOWLEDGE_TIME_MAX,
        this.buffer.changed.until(() => this.buffer.isAcknowledged),
        signal,
      );
      this.end();
    }
  }
}

/** Cancels the running attempts and releases them. Does not wait for handlers that ignore their signal. */
export async function releaseRunning(runner: AttemptRunner, signal?: AbortSignal): Promise<void> {
  runner.stopAll("ending");
  await within(STOP_TIME_MAX, runner.idle(), signal);
  if (signal?.aborted !== true) {
    runner.abandonAll();
  }
}

/**
 * Waits for a promise, at most this long or until the signal is aborted. Rejects only with the error of the promise.
 */
export async function within(span: number, awaited: Promise<void>, signal?: AbortSignal): Promise<void> {
  const scope = new Scope().follow(signal);
  const until = now() + span;
  const timeout = async () => {
    while (now() < until) {
      await pause(until - now(), scope.signal);
    }
  };
  await Promise.race([awaited, timeout().catch(() => undefined)]);
  scope.abort(undefined);
  scope.close();
}
