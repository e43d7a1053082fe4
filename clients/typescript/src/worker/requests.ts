// The requests of one stream. Each message carries everything that waits in the report buffer.

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
import { type ReportBuffer, isFinal } from "./report_buffer.js";

/** Size in bytes above which a message takes no further report. A larger report is sent alone. */
const REQUEST_BYTES_MAX = 1024 * 1024;
/** Most leases that a message accepts, and most that its heartbeat lists: about 400 KB each. */
const LEASES_MAX = 10_000;
/** Approximate size of a lease in a list. */
const LEASE_BYTES = 48;
/** Largest size of the leases in a message with a report larger than the limit. */
const EXTRA_LEASES_BYTES = 1024;
/**
 * Bytes of unacknowledged reports that a new stream sends at first. Each acknowledgement doubles the window, so that
 * progress is made over connections that break early.
 */
const FIRST_WINDOW_BYTES = 2 * 1024;
const WINDOW_BYTES_MAX = 8 * 1024 * 1024;

/** The unacknowledged reports of one message. */
interface Sent {
  readonly last: number;
  readonly bytes: number;
}

/** State of the stream: Hello was sent; Welcome was received; it ends after the buffered reports; it has ended. */
type Phase = "hello sent" | "open" | "ending" | "ended";

/** The requests of one stream: Hello, and the rest after Welcome. */
export class Requests {
  #phase: Phase = "hello sent";
  /** Number of the last report sent on this stream. */
  #sent = 0;
  #window = FIRST_WINDOW_BYTES;
  readonly #inFlight: Sent[] = [];
  #slotsSent: number;
  /** Leases that the heartbeat in progress has not listed yet. */
  #heartbeatLeases: string[] = [];

  constructor(
    readonly buffer: ReportBuffer,
    readonly hello: Hello,
  ) {
    this.#slotsSent = hello.slots;
  }

  /** Welcome was received: requests may be sent. */
  open(): void {
    if (this.#phase === "hello sent") {
      this.#phase = "open";
      this.buffer.changed.notify();
    }
  }

  /** Ends after the buffered reports were sent; immediately before Welcome. */
  end(): void {
    this.#phase = this.#phase === "open" ? "ending" : "ended";
    this.buffer.changed.notify();
  }

  /** Ends immediately, because the connection is closed. */
  abort(): void {
    this.#phase = "ended";
    this.buffer.changed.notify();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WorkRequest, void, undefined> {
    yield create(WorkRequestSchema, { hello: this.hello });
    while (this.#phase !== "ended") {
      const request = this.#phase === "hello sent" ? undefined : this.#next();
      if (request !== undefined) {
        yield request;
        // The generator resumes once this request was sent.
        this.buffer.markAccepted(request.acceptedLeaseIds);
      } else if (this.#phase === "ending") {
        return;
      } else {
        // There is no await since the check above, so no notification is missed.
        await this.buffer.changed.notified();
        if (this.buffer.acceptedLeases.length === 0) {
          // Batches the reports of one turn of the event loop into one message.
          await setImmediate();
        }
      }
    }
  }

  /** Builds a message of everything to send; undefined if there is nothing. */
  #next(): WorkRequest | undefined {
    const { buffer } = this;
    const { slots } = buffer;
    const slotsField = slots === this.#slotsSent ? {} : { slots };
    this.#slotsSent = slots;
    const leaseIds = this.#heartbeat();
    const heartbeat = leaseIds && { heartbeat: create(WorkerHeartbeatSchema, { leaseIds }) };
    if (this.#heartbeatLeases.length > 0) {
      // A final report of a listed lease must not be sent before the rest of the heartbeat.
      return create(WorkRequestSchema, { ...slotsField, ...heartbeat });
    }
    // A final report accepts its lease implicitly.
    const acceptedLeases = buffer.acceptedLeases.filter((lease) => buffer.hasLease(lease));
    const acceptedLeaseIds = acceptedLeases.slice(0, LEASES_MAX);
    buffer.acceptedLeases = acceptedLeases.slice(LEASES_MAX);
    buffer.pushProgress();
    const reports = this.#reports(LEASE_BYTES * ((leaseIds?.length ?? 0) + acceptedLeaseIds.length));
    const fields = {
      ...slotsField,
      ...heartbeat,
      ...(acceptedLeaseIds.length > 0 && { acceptedLeaseIds }),
      ...(reports.length > 0 && { reports }),
    };
    return Object.keys(fields).length === 0 ? undefined : create(WorkRequestSchema, fields);
  }

  /** The leases of the next heartbeat: of running attempts, and of ended ones whose final report was not sent. */
  #heartbeat(): string[] | undefined {
    const { buffer } = this;
    if (buffer.heartbeatRequested) {
      buffer.heartbeatRequested = false;
      buffer.leasesRenewedAt = now();
      const unsent = buffer.reports.slice(Math.max(0, this.#sent + 1 - buffer.first));
      const ended = unsent.filter(({ body }) => isFinal(body)).map(({ lease }) => lease);
      this.#heartbeatLeases = [...buffer.running(), ...ended];
    } else if (this.#heartbeatLeases.length === 0) {
      return undefined;
    }
    const leases = this.#heartbeatLeases.slice(0, LEASES_MAX);
    this.#heartbeatLeases = this.#heartbeatLeases.slice(LEASES_MAX);
    return leases;
  }

  /** The next unsent reports that fit into a message of this size and into the window. */
  #reports(others: number): AttemptReport[] {
    const { buffer } = this;
    const allowed = Math.min(this.#freeWindow(), REQUEST_BYTES_MAX - others);
    const first = Math.max(buffer.first, this.#sent + 1);
    const reports: AttemptReport[] = [];
    let bytes = 0;
    for (const { lease: leaseId, bytes: more, body } of buffer.reports.slice(first - buffer.first)) {
      const isAlone = reports.length === 0 && this.#inFlight.length === 0 && others <= EXTRA_LEASES_BYTES;
      if (bytes + more > allowed && !isAlone) {
        break;
      }
      this.#sent = Math.max(first, this.#sent + 1);
      if (body !== undefined) {
        bytes += more;
        reports.push(create(AttemptReportSchema, { leaseId, reportSequence: BigInt(this.#sent), news: body }));
      }
    }
    if (reports.length > 0) {
      this.#inFlight.push({ last: this.#sent, bytes });
    }
    return reports;
  }

  /** Free bytes of the window. */
  #freeWindow(): number {
    while (this.#inFlight[0] !== undefined && this.#inFlight[0].last < this.buffer.first) {
      this.#inFlight.shift();
      this.#window = Math.min(2 * this.#window, WINDOW_BYTES_MAX);
    }
    return this.#window - this.#inFlight.reduce((sum, { bytes }) => sum + bytes, 0);
  }
}
