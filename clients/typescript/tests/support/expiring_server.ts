// A gRPC server whose streams end because their token expires, after the first one with UNAVAILABLE. It refuses the token
// `old` from then on.

import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";

import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { JobService, JobState, WorkerService } from "jobstream/v1";

import { ErrorInfoSchema } from "#dist/gen/google/rpc/error_details_pb.js";

export class ExpiringServer implements AsyncDisposable {
  /** The header of each stream. */
  readonly authorizations: (string | null)[] = [];
  readonly #server = createServer(
    connectNodeAdapter({
      routes: (router) => {
        this.#serve(router);
      },
    }),
  );

  static async start(): Promise<ExpiringServer> {
    const expiring = new ExpiringServer();
    expiring.#server.listen(0, "127.0.0.1");
    await once(expiring.#server, "listening");
    return expiring;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    await once(this.#server, "close");
  }

  #serve(router: ConnectRouter): void {
    router.rpc(JobService.method.watchResult, this.#watch.bind(this));
    router.rpc(WorkerService.method.work, this.#work.bind(this));
  }

  async *#watch({ afterSequence }: { afterSequence: number }, context: HandlerContext) {
    const isFirst = this.#admit(context);
    const state = isFirst ? JobState.QUEUED : JobState.CANCELLED;
    const stateChange = { case: "stateChange", value: { state } } as const;
    yield { message: { case: "event", value: { sequence: afterSequence + 1, event: stateChange } } } as const;
    await Promise.resolve();
    if (isFirst) {
      throw expired(Code.Unavailable);
    }
  }

  async *#work(_: AsyncIterable<unknown>, context: HandlerContext) {
    this.#admit(context);
    yield { welcome: { workerId: "w", lease: { seconds: 30n }, pingInterval: { seconds: 10n } } };
    await Promise.resolve();
    throw expired(Code.Unavailable);
  }

  /** Whether it is the first stream. @throws the refusal of a token that has expired. */
  #admit({ requestHeader }: HandlerContext): boolean {
    const authorization = requestHeader.get("authorization");
    this.authorizations.push(authorization);
    if (this.authorizations.length > 1 && authorization === "Bearer old") {
      throw expired(Code.Unauthenticated);
    }
    return this.authorizations.length === 1;
  }
}

function expired(code: Code): ConnectError {
  const info = create(ErrorInfoSchema, { domain: "jobstream", reason: "CREDENTIAL_EXPIRED" });
  return new ConnectError("the token has expired", code, undefined, [{ desc: ErrorInfoSchema, value: info }]);
}
