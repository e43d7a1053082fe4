// The requests of one stream: whenever it is asked, one message of everything there is to tell.

import { setImmediate } from "node:timers/promises";

import { create } from "@bufbuild/protobuf";

import { now } from "../data/span.js";
import {
  type AttemptReport,
  AttemptReportSchema,
  type Hello,
  type WorkRequest,
  WorkRequestSchema,
  WorkerHeartbeatSchema,
} from "../gen/jobstream/v1/worker_service_pb.js";
import { type Ledger, isEnd } from "./ledger.js";

/** Bytes after which a message takes no further report; a larger report goes alone. */
const REQUEST_BYTES_MAX = 1024 * 1024;
/** Leases that a message accepts, and those that its heartbeat names, at most: about 400 KB each. */
const LEASES_MAX = 10_000;
/** About what a lease takes in a list. */
const LEASE_BYTES = 48;
/** Bytes of leases that may go with a report that is larger than a message is to be. */
const LEASES_ASIDE_BYTES = 1024;
/**
 * Bytes of reports that a new stream sends before it waits for an acknowledgement. Each one that comes doubles them:
 * so connections that break early get something through, too.
 */
const FIRST_WINDOW_BYTES = 2 * 1024;
const WINDOW_BYTES_MAX = 8 * 1024 * 1024;

/** Reports of one message that were not acknowledged. */
interface Sent {
  readonly last: number;
  readonly bytes: number;
}

/** How far the stream is: its greeting was sent, the server answered, it ends once what is there was sent, it ended. */
type Phase = "greeted" | "open" | "ending" | "ended";

/** The requests of one connection, which begin with the greeting and go on after the welcome. */
export class Requests {
  #phase: Phase = "greeted";
  /** Number of the last report that has gone out on this stream. */
  #sent = 0;
  #window = FIRST_WINDOW_BYTES;
  readonly #inFlight: Sent[] = [];
  #slotsTold: number;
  /** What the heartbeat under way has yet to name. */
  #beats: string[] = [];

  constructor(
    readonly ledger: Ledger,
    readonly hello: Hello,
  ) {
    this.#slotsTold = hello.slots;
  }

  /** The server answered: everything goes. */
  open(): void {
    if (this.#phase === "greeted") {
      this.#phase = "open";
      this.ledger.bell.ring();
    }
  }

  /** Ends once what is there was sent; at once before the server answered, for it takes nothing yet. */
  end(): void {
    this.#phase = this.#phase === "open" ? "ending" : "ended";
    this.ledger.bell.ring();
  }

  /** Ends at once: nothing that is sent from now on would arrive. */
  cut(): void {
    this.#phase = "ended";
    this.ledger.bell.ring();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WorkRequest, void, undefined> {
    yield create(WorkRequestSchema, { hello: this.hello });
    while (this.#phase !== "ended") {
      const request = this.#phase === "greeted" ? undefined : this.#next();
      if (request !== undefined) {
        yield request;
        // The next one is asked for once this one has left.
        this.ledger.accepted(request.acceptedLeaseIds);
      } else if (this.#phase === "ending") {
        return;
      } else {
        // Nothing is awaited since the look above, so no ring is missed.
        await this.ledger.bell.next();
        if (this.ledger.accepts.length === 0) {
          // What handlers tell in one turn goes in one message.
          await setImmediate();
        }
      }
    }
  }

  /** One message of what there is to tell; undefined if there is nothing. */
  #next(): WorkRequest | undefined {
    const { ledger } = this;
    const { slots } = ledger;
    const slotsDue = slots === this.#slotsTold ? {} : { slots };
    this.#slotsTold = slots;
    const leaseIds = this.#heartbeat();
    const heartbeat = leaseIds && { heartbeat: create(WorkerHeartbeatSchema, { leaseIds }) };
    if (this.#beats.length > 0) {
      // No report that ends one of them may overtake it.
      return create(WorkRequestSchema, { ...slotsDue, ...heartbeat });
    }
    // What has ended since is accepted by its report.
    const accepts = ledger.accepts.filter((lease) => ledger.stands(lease));
    const acceptedLeaseIds = accepts.slice(0, LEASES_MAX);
    ledger.accepts = accepts.slice(LEASES_MAX);
    ledger.numberProgress();
    const reports = this.#reports(LEASE_BYTES * ((leaseIds?.length ?? 0) + acceptedLeaseIds.length));
    const told = {
      ...slotsDue,
      ...heartbeat,
      ...(acceptedLeaseIds.length > 0 && { acceptedLeaseIds }),
      ...(reports.length > 0 && { reports }),
    };
    return Object.keys(told).length === 0 ? undefined : create(WorkRequestSchema, told);
  }

  /** What the next message's heartbeat names: what runs, and what has ended without the server having been told. */
  #heartbeat(): string[] | undefined {
    const { ledger } = this;
    if (ledger.heartbeatDue) {
      ledger.heartbeatDue = false;
      ledger.renewed = now();
      const unsent = ledger.reports.slice(Math.max(0, this.#sent + 1 - ledger.first));
      const ended = unsent.filter(({ news }) => isEnd(news)).map(({ lease }) => lease);
      this.#beats = [...ledger.running(), ...ended];
    } else if (this.#beats.length === 0) {
      return undefined;
    }
    const leases = this.#beats.slice(0, LEASES_MAX);
    this.#beats = this.#beats.slice(LEASES_MAX);
    return leases;
  }

  /** The next reports that fit a message which has so many bytes already, and what may be on its way. */
  #reports(others: number): AttemptReport[] {
    const { ledger } = this;
    const allowed = Math.min(this.#allowance(), REQUEST_BYTES_MAX - others);
    const first = Math.max(ledger.first, this.#sent + 1);
    const reports: AttemptReport[] = [];
    let bytes = 0;
    for (const { lease: leaseId, bytes: more, news } of ledger.reports.slice(first - ledger.first)) {
      const isAlone = reports.length === 0 && this.#inFlight.length === 0 && others <= LEASES_ASIDE_BYTES;
      if (bytes + more > allowed && !isAlone) {
        break;
      }
      this.#sent = Math.max(first, this.#sent + 1);
      if (news !== undefined) {
        bytes += more;
        reports.push(create(AttemptReportSchema, { leaseId, reportSequence: BigInt(this.#sent), news }));
      }
    }
    if (reports.length > 0) {
      this.#inFlight.push({ last: this.#sent, bytes });
    }
    return reports;
  }

  /** How many bytes may be sent before the next acknowledgement. */
  #allowance(): number {
    while (this.#inFlight[0] !== undefined && this.#inFlight[0].last < this.ledger.first) {
      this.#inFlight.shift();
      this.#window = Math.min(2 * this.#window, WINDOW_BYTES_MAX);
    }
    return this.#window - this.#inFlight.reduce((sum, { bytes }) => sum + bytes, 0);
  }
}
