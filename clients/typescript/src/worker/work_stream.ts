// One connection of a worker, from the greeting to its end.

import { Code, ConnectError, createClient } from "@connectrpc/connect";

import { Scope, pause } from "../client/scope.js";
import { now, spanOf } from "../data/span.js";
import type { NodeConnection } from "../node/connection.js";
import {
  type AttemptCancel,
  type Drain,
  type Hello,
  type ReportAck,
  type Welcome,
  type WorkResponse,
  WorkerService,
} from "../gen/jobstream/v1/worker_service_pb.js";
import type { Desk } from "./desk.js";
import type { Ledger } from "./ledger.js";
import { Requests } from "./requests.js";

/** What a server gets to answer the greeting. */
const WELCOME_TIME_MAX = 10_000;
/** Ping intervals without a word after which a connection is given up. */
const SILENT_PINGS_MAX = 3;
/** Shortest silence that ends a connection, whatever the server says of its pings. */
const SILENCE_MIN = 50;
/** The status of a report whose lease no longer stands. */
const LEASE_LOST: number = Code.FailedPrecondition;
/** What handlers that were told to stop get to do so, before they are left behind. */
export const STOP_TIME_MAX = 1_000;
/** What the server gets to acknowledge the last reports. */
export const SETTLE_TIME_MAX = 2_000;

/** What a conversation tells its worker. */
export interface Listener {
  welcomed(welcome: Welcome): void;
  /** An operator drains the worker; `timeLeft` is milliseconds. */
  drained(timeLeft: number): void;
  /** The server refused a report other than for its lease. */
  refused(message: string): void;
}

export class Conversation {
  readonly #scope = new Scope();
  readonly #requests: Requests;
  #silenceMax = WELCOME_TIME_MAX;
  #isWelcome = false;

  constructor(
    readonly ledger: Ledger,
    readonly desk: Desk,
    readonly listener: Listener,
    hello: Hello,
  ) {
    this.#requests = new Requests(ledger, hello);
  }

  /** Does as the server says until it ends the stream. Throws what broke it. */
  async run(connection: NodeConnection): Promise<void> {
    const session = connection.dedicated();
    const workers = createClient(WorkerService, session.transport);
    try {
      this.#expectWord();
      for await (const response of workers.work(this.#requests, { signal: this.#scope.signal })) {
        this.#expectWord();
        this.#handle(response);
      }
      if (!this.#isWelcome) {
        throw new ConnectError("the server ended the stream without a welcome", Code.Unavailable);
      }
    } catch (error) {
      const { signal } = this.#scope;
      throw signal.aborted ? signal.reason : error;
    } finally {
      this.#requests.cut();
      this.#scope.abort(undefined);
      this.#scope.close();
      connection.endDedicated(session);
    }
  }

  /** Closes this side once everything was sent; the server ends the stream in turn. */
  end(): void {
    this.#requests.end();
  }

  /** Ends at once, for this reason. */
  cut(message: string): void {
    this.#scope.abort(new ConnectError(message, Code.Aborted));
  }

  get isWelcome(): boolean {
    return this.#isWelcome;
  }

  #expectWord(): void {
    this.#scope.endIn(this.#silenceMax, () => {
      const what = this.#isWelcome
        ? "the server was silent for three ping intervals"
        : "the server did not answer the greeting";
      return new ConnectError(what, Code.DeadlineExceeded);
    });
  }

  /** Does as the server says, in the order of the fields. */
  #handle({ welcome, assignments, cancels, ack, ping, drain }: WorkResponse): void {
    if (welcome !== undefined) {
      this.#welcome(welcome);
    }
    if (!this.#isWelcome) {
      throw new ConnectError("the server began the stream without a welcome", Code.Unavailable);
    }
    for (const assignment of assignments) {
      this.desk.run(assignment);
    }
    for (const cancel of cancels) {
      this.#cancel(cancel);
    }
    if (ack !== undefined) {
      this.#acknowledge(ack);
    }
    if (ping !== undefined) {
      this.ledger.heartbeatDue = true;
      this.ledger.bell.ring();
    }
    if (drain !== undefined) {
      this.#drain(drain);
    }
  }

  #welcome(welcome: Welcome): void {
    const lost = this.ledger.welcome({
      lease: spanOf(welcome.lease),
      payloadBytesMax: welcome.payloadBytesMax,
      messageBytesMax: welcome.messageBytesMax,
      acked: Number(welcome.ackedReportSequence),
      standing: new Set(welcome.standingLeaseIds),
    });
    for (const lease of lost) {
      this.desk.stop(lease, "lost");
    }
    this.#isWelcome = true;
    this.#silenceMax = Math.max(SILENCE_MIN, SILENT_PINGS_MAX * spanOf(welcome.pingInterval));
    this.#expectWord();
    this.#requests.open();
    this.listener.welcomed(welcome);
  }

  #cancel({ leaseId, revoked }: AttemptCancel): void {
    this.desk.stop(leaseId, revoked ? "lost" : "cancelled");
  }

  #acknowledge({ reportSequence, refusals }: ReportAck): void {
    for (const { leaseId, error } of refusals) {
      if (error?.code === LEASE_LOST) {
        this.desk.stop(leaseId, "lost");
      } else {
        this.listener.refused(`the server refused a report: ${error?.message ?? ""}`);
      }
    }
    this.ledger.acknowledge(Number(reportSequence));
  }

  #drain({ timeLeft, serverShutdown }: Drain): void {
    if (serverShutdown) {
      // It never rejects: it only waits.
      void this.#leave(spanOf(timeLeft));
    } else {
      this.listener.drained(spanOf(timeLeft));
    }
  }

  /** Before a server shuts down: lets what runs finish by then, gives back the rest and waits until the server knows. */
  async #leave(timeLeft: number): Promise<void> {
    const { signal } = this.#scope;
    await within(timeLeft, this.desk.idle(), signal);
    if (!signal.aborted) {
      await giveBack(this.desk, signal);
      await within(
        SETTLE_TIME_MAX,
        this.ledger.bell.until(() => this.ledger.isSettled),
        signal,
      );
      this.end();
    }
  }
}

/** Tells what still runs to stop, and leaves behind what does not, unless the signal ends before. */
export async function giveBack(desk: Desk, signal?: AbortSignal): Promise<void> {
  desk.stopAll("ending");
  await within(STOP_TIME_MAX, desk.idle(), signal);
  if (signal?.aborted !== true) {
    desk.abandonAll();
  }
}

/** Waits for it, for this long or until the signal ends at most. Rejects only with what it waits for. */
export async function within(span: number, awaited: Promise<void>, signal?: AbortSignal): Promise<void> {
  const scope = new Scope().follow(signal);
  const until = now() + span;
  const overdue = async () => {
    while (now() < until) {
      await pause(until - now(), scope.signal);
    }
  };
  await Promise.race([awaited, overdue().catch(() => undefined)]);
  scope.abort(undefined);
  scope.close();
}
