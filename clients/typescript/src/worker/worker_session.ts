// The life of a worker that runs: connected again and again, until it is drained, stopped or refused.

import { randomUUID } from "node:crypto";

import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";

import { Backoff } from "../client/backoff.js";
import { Scope, pause } from "../client/scope.js";
import { readError } from "../client/status.js";
import { now, timerSpan } from "../data/span.js";
import { JobstreamError } from "../errors.js";
import { HelloSchema, type Welcome } from "../gen/jobstream/v1/worker_service_pb.js";
import type { NodeConnection } from "../node/connection.js";
import { VERSION } from "../version.js";
import { Bell } from "./bell.js";
import { Conversation, SETTLE_TIME_MAX, giveBack, within } from "./conversation.js";
import { Desk } from "./desk.js";
import type { Duty } from "./handler.js";
import { Ledger } from "./ledger.js";

/** Leases that a greeting may name. */
const LEASES_HELD_MAX = 100_000;
const PAUSES = { firstPause: 50, longestPause: 5_000 };
/** What the server gets to end a stream after the worker closed its side. */
const CLOSE_TIME_MAX = 500;
/** The server would say the same again. */
const FINAL = [Code.InvalidArgument, Code.Unimplemented, Code.Unauthenticated, Code.PermissionDenied];

export interface LifeOptions {
  readonly name: string;
  readonly queues: string[];
  readonly slots: number;
  readonly connected: (welcome: Welcome) => void;
  readonly disconnected: (reason: string, retryIn: number) => void;
  readonly refused: (message: string) => void;
}

export class Life {
  readonly #ledger: Ledger;
  readonly #desk: Desk;
  readonly #instanceId = randomUUID();
  readonly #bell = new Bell();
  /** Nothing is left to tell: no connection is needed any more. */
  readonly #closed = new Scope();
  #conversation: Conversation | undefined;
  #drainBy = Infinity;
  #fence: NodeJS.Timeout | undefined;

  constructor(
    readonly connection: NodeConnection,
    readonly duties: ReadonlyMap<string, Duty>,
    readonly options: LifeOptions,
  ) {
    this.#ledger = new Ledger(options.slots);
    this.#desk = new Desk(duties, this.#ledger);
  }

  /** Lets what runs finish within this long, gives back the rest and ends; an earlier word stands. */
  drain(span: number): void {
    this.#drainBy = Math.min(this.#drainBy, now() + span);
    this.#bell.ring();
  }

  /** Returns when it has ended. @throws what the server refused it with. */
  async run(): Promise<void> {
    const connected = this.#keepConnected();
    try {
      await Promise.race([connected, this.#finish()]);
      // The server ends the stream in turn, so that it is not cut with an answer on its way.
      await within(CLOSE_TIME_MAX, connected);
    } finally {
      clearTimeout(this.#fence);
      this.drain(0);
      this.#closed.abort(undefined);
      this.#conversation?.cut("the worker ended");
      await giveBack(this.#desk);
    }
  }

  /** Connects, and again whenever the connection broke. Throws only if no further try could help. */
  async #keepConnected(): Promise<void> {
    let backoff = new Backoff(PAUSES);
    for (;;) {
      const began = now();
      const broken = await this.#converse();
      if (this.#closed.signal.aborted) {
        return;
      }
      const error = readError(broken, this.connection.address);
      if (broken instanceof ConnectError && FINAL.includes(broken.code)) {
        throw error;
      }
      if (now() - began > PAUSES.longestPause) {
        backoff = new Backoff(PAUSES);
      }
      const span = backoff.next(error instanceof JobstreamError ? error.retryAfter : undefined);
      this.options.disconnected(error instanceof Error ? error.message : String(error), span);
      await pause(span, this.#closed.signal).catch(() => undefined);
    }
  }

  /** One connection. Answers what ended it. */
  async #converse(): Promise<unknown> {
    const { connected, refused, name, queues } = this.options;
    const hello = create(HelloSchema, {
      protocolVersion: 1,
      name,
      queues,
      instanceId: this.#instanceId,
      kinds: [...this.duties.keys()],
      slots: this.#ledger.freeSlots,
      heldLeaseIds: this.#ledger.held().slice(0, LEASES_HELD_MAX),
      sdk: `typescript/${VERSION}`,
      messageBytesMax: this.connection.options.messageBytesMax,
    });
    const welcomed = (welcome: Welcome) => {
      this.#keepFenced();
      connected(welcome);
    };
    const drained = (timeLeft: number) => {
      this.drain(timeLeft);
    };
    const conversation = new Conversation(this.#ledger, this.#desk, { welcomed, drained, refused }, hello);
    this.#conversation = conversation;
    try {
      await conversation.run(this.connection);
      return new ConnectError("the server ended the stream", Code.Unavailable);
    } catch (error) {
      return error;
    } finally {
      this.#conversation = undefined;
    }
  }

  /** Ends attempts whose leases have run out because no heartbeat left in time: the server gives their jobs to others. */
  #keepFenced(): void {
    clearTimeout(this.#fence);
    const left = this.#ledger.fence - now();
    if (left > 0) {
      this.#fence = setTimeout(
        () => {
          this.#keepFenced();
        },
        timerSpan(left + 1),
      ).unref();
      return;
    }
    this.#desk.stopAll("lost");
    if (this.#conversation?.isWelcome === true) {
      this.#conversation.cut("the leases ran out");
    }
  }

  /** Once told to end: takes nothing more, lets what runs finish in its time, gives back the rest and waits until the
   * server knows. */
  async #finish(): Promise<void> {
    await this.#bell.until(() => this.#drainBy < Infinity);
    this.#ledger.slots = 0;
    await Promise.race([this.#desk.idle(), this.#overdue()]);
    await giveBack(this.#desk);
    await within(
      SETTLE_TIME_MAX,
      this.#ledger.bell.until(() => this.#ledger.isSettled),
    );
    this.#closed.abort(undefined);
    this.#conversation?.end();
  }

  /** Returns once what still runs is to be given back; that may come to be earlier. */
  async #overdue(): Promise<void> {
    while (now() < this.#drainBy) {
      await within(this.#drainBy - now(), this.#bell.next());
    }
  }
}
