// One run of a worker: it reconnects until it is drained, stopped or rejected.

import { randomUUID } from "node:crypto";

import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";

import { Backoff } from "../client/backoff.js";
import { Scope, pause } from "../client/scope.js";
import { isRefusedToken } from "../client/calls.js";
import { readError } from "../client/status.js";
import { isPermanentTlsFailure } from "../client/tls_errors.js";
import { now, timerSpan } from "../data/span.js";
import { JobstreamError, type StatusCode } from "../errors.js";
import { HelloSchema, type Welcome } from "../gen/jobstream/v1/worker_service_pb.js";
import type { NodeConnection } from "../node/connection.js";
import { VERSION } from "../version.js";
import { Condition } from "./condition.js";
import { WorkStream, ACKNOWLEDGE_TIME_MAX, releaseRunning, within } from "./work_stream.js";
import { AttemptRunner } from "./attempt_runner.js";
import type { HandlerInterceptor, RegisteredHandler } from "./handler.js";
import type { WorkerLog } from "./log.js";
import { ReportBuffer } from "./report_buffer.js";

/** Most leases in Hello. */
const HELD_LEASES_MAX = 100_000;
const BACKOFF = { firstPause: 50, longestPause: 5_000 };
/** Time in milliseconds to wait for the server to close the stream. */
const CLOSE_TIME_MAX = 500;
/** Status codes that a retry cannot change. */
const PERMANENT: StatusCode[] = ["INVALID_ARGUMENT", "UNIMPLEMENTED", "UNAUTHENTICATED", "PERMISSION_DENIED"];

export interface SessionOptions {
  readonly name: string;
  readonly queues: string[];
  readonly slots: number;
  readonly connected: (welcome: Welcome) => void;
  readonly disconnected: (reason: string, retryIn: number) => void;
  readonly interceptors: readonly HandlerInterceptor[];
  readonly log: WorkerLog;
}

export class WorkerSession {
  readonly #buffer: ReportBuffer;
  readonly #runner: AttemptRunner;
  readonly #instanceId = randomUUID();
  readonly #changed = new Condition();
  /** Aborted once all reports were acknowledged: no connection is needed any more. */
  readonly #closed = new Scope();
  #stream: WorkStream | undefined;
  /** Whether the server has accepted the worker. */
  #wasWelcome = false;
  /** Whether the last stream was refused for its token. */
  #isRefused = false;
  #drainDeadline = Infinity;
  #leaseTimer: NodeJS.Timeout | undefined;

  constructor(
    readonly connection: NodeConnection,
    readonly handlers: ReadonlyMap<string, RegisteredHandler>,
    readonly options: SessionOptions,
  ) {
    this.#buffer = new ReportBuffer(options.slots);
    this.#runner = new AttemptRunner(handlers, options.interceptors, this.#buffer, options.log);
  }

  /** Starts to drain with this deadline, or moves the deadline closer. */
  drain(span: number): void {
    this.#drainDeadline = Math.min(this.#drainDeadline, now() + span);
    this.#changed.notify();
  }

  /** Resolves when the worker has ended. @throws the error with which the server rejected it. */
  async run(): Promise<void> {
    const connected = this.#keepConnected();
    try {
      await Promise.race([connected, this.#finish()]);
      // Waits for the server to close the stream, so that no response is lost.
      await within(CLOSE_TIME_MAX, connected);
    } finally {
      clearTimeout(this.#leaseTimer);
      this.drain(0);
      this.#closed.abort(undefined);
      this.#stream?.abort("the worker ended");
      await releaseRunning(this.#runner);
      this.#buffer.close();
    }
  }

  /** Connects, and reconnects with back-off. Throws an error that a retry cannot fix. */
  async #keepConnected(): Promise<void> {
    let backoff = new Backoff(BACKOFF);
    for (;;) {
      const began = now();
      const broken = await this.#connect();
      if (this.#closed.signal.aborted) {
        return;
      }
      const error = readError(broken, this.connection);
      if (error === this.connection.closed.reason || this.#isPermanent(error)) {
        throw error;
      }
      if (now() - began > BACKOFF.longestPause) {
        backoff = new Backoff(BACKOFF);
      }
      const span = backoff.next(error instanceof JobstreamError ? error.retryAfter : undefined);
      this.options.disconnected(error instanceof Error ? error.message : String(error), span);
      await pause(span, this.#closed.signal).catch(() => undefined);
    }
  }

  /**
   * Whether a retry cannot fix the error. A stream that was refused for its token is opened once more with a new one. The
   * certificate of a server that has accepted the worker may be renewed.
   */
  #isPermanent(error: unknown): boolean {
    if (!(error instanceof JobstreamError)) {
      return false;
    }
    const mayRenewToken = this.connection.renewsToken && !this.#isRefused && isRefusedToken(error);
    this.#isRefused ||= mayRenewToken;
    const isPermanent = error.code !== undefined && PERMANENT.includes(error.code);
    return (isPermanent && !mayRenewToken) || (!this.#wasWelcome && isPermanentTlsFailure(error.reason));
  }

  /** Runs one connection. Returns the error that ended it. */
  async #connect(): Promise<unknown> {
    const { connected, name, queues, log } = this.options;
    const hello = create(HelloSchema, {
      protocolVersion: 1,
      name,
      queues,
      instanceId: this.#instanceId,
      kinds: [...this.handlers.keys()],
      slots: this.#buffer.freeSlots,
      heldLeaseIds: this.#buffer.held().slice(0, HELD_LEASES_MAX),
      sdk: `typescript/${VERSION}`,
      messageBytesMax: this.connection.options.messageBytesMax,
    });
    const onWelcome = (welcome: Welcome) => {
      this.#expireLeases();
      this.#wasWelcome = true;
      this.#isRefused = false;
      connected(welcome);
    };
    const onDrain = (timeLeft: number) => {
      this.drain(timeLeft);
    };
    const onRejection = (message: string) => {
      log.warn(message);
    };
    const stream = new WorkStream(this.#buffer, this.#runner, { onWelcome, onDrain, onRejection }, hello);
    this.#stream = stream;
    try {
      await stream.run(this.connection);
      return new ConnectError("the server ended the stream", Code.Unavailable);
    } catch (error) {
      return error;
    } finally {
      this.#stream = undefined;
    }
  }

  /**
   * Cancels the attempts whose leases expired because no heartbeat was sent in time. The server assigns their jobs to
   * other workers.
   */
  #expireLeases(): void {
    clearTimeout(this.#leaseTimer);
    const left = this.#buffer.leaseDeadline - now();
    if (left > 0) {
      this.#leaseTimer = setTimeout(
        () => {
          this.#expireLeases();
        },
        timerSpan(left + 1),
      ).unref();
      return;
    }
    this.#runner.stopAll("lost");
    if (this.#stream?.isWelcome === true) {
      this.#stream.abort("the leases expired");
    }
  }

  /**
   * Drains the worker once requested: accepts no new jobs, waits for running attempts, releases the rest and waits for
   * the acknowledgement of their reports.
   */
  async #finish(): Promise<void> {
    await this.#changed.until(() => this.#drainDeadline < Infinity);
    this.#buffer.slots = 0;
    await Promise.race([this.#runner.idle(), this.#drainTimeout()]);
    await releaseRunning(this.#runner);
    await within(
      ACKNOWLEDGE_TIME_MAX,
      this.#buffer.changed.until(() => this.#buffer.isAcknowledged),
    );
    this.#closed.abort(undefined);
    this.#stream?.end();
  }

  /** Resolves at the drain deadline, which may move closer meanwhile. */
  async #drainTimeout(): Promise<void> {
    while (now() < this.#drainDeadline) {
      await within(this.#drainDeadline - now(), this.#changed.notified());
    }
  }
}
