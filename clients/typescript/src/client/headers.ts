// The headers of every call: the token and the metadata of a client.

import type { Interceptor } from "@connectrpc/connect";

import { InvalidRequest, Unavailable } from "../errors.js";

/** Returns the current token. */
export type TokenFunction = () => string | Promise<string>;

/** The credentials and further headers of a client. */
export interface HeaderOptions {
  /**
   * The bearer token of every call and stream, or a function that returns the current one. The function is called for
   * each call and each stream, so it should cache. If the server refuses its token with UNAUTHENTICATED, the call is
   * repeated once with a new one.
   */
  readonly token?: string | TokenFunction | undefined;
  /** Whether to send the token over plain text to a host other than loopback. Default false: an error instead. */
  readonly allowInsecureToken?: boolean | undefined;
  /** Further headers of every call and stream, for example for a proxy. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** The headers of a client. */
export interface Headers {
  /** Sets the headers. It is the last interceptor, so that no other one receives the token. */
  readonly interceptor: Interceptor;
  /** Whether a function returns the token: a call that is refused for its token may succeed with the next one. */
  readonly renewsToken: boolean;
}

const AUTHORIZATION = "authorization";
const TOKEN = /^[\x21-\x7e]+$/;
const NAME = /^[a-z0-9_.-]+$/;
const VALUE = /^[\x20-\x7e]*$/;
/** Headers of gRPC and HTTP, and binary ones, which need another encoding. */
const RESERVED = /^(grpc-.*|.*-bin|connection|content-type|host|te|transfer-encoding|user-agent)$/;

/**
 * Checks the options. `otherwise` is the token of the environment.
 *
 * @throws InvalidRequest if an option is invalid, or the token would be sent over plain text.
 */
export function headersOf(address: string, options: HeaderOptions, otherwise?: string): Headers {
  const metadata = Object.entries(options.metadata ?? {}).map(([name, value]) => checkedHeader(name, value));
  const token = tokenOf(options.token, otherwise);
  if (token !== undefined && options.allowInsecureToken !== true) {
    checkIsSecure(address, options.token === undefined ? "JOBSTREAM_TOKEN" : "token");
  }
  const interceptor: Interceptor = (next) => async (request) => {
    for (const [name, value] of metadata) {
      request.header.set(name, value);
    }
    // An interceptor of the caller may have set it.
    if (token !== undefined && !request.header.has(AUTHORIZATION)) {
      const current = typeof token === "string" ? token : await currentToken(token, request.signal);
      request.header.set(AUTHORIZATION, `Bearer ${current}`);
    }
    return next(request);
  };
  return { interceptor, renewsToken: typeof token === "function" };
}

/** The token of the option, else of the environment. An empty text is none. */
function tokenOf(given: HeaderOptions["token"], otherwise?: string): string | TokenFunction | undefined {
  if (typeof given === "function") {
    return given;
  }
  const name = given === undefined ? "JOBSTREAM_TOKEN" : "token";
  const token = (given ?? otherwise ?? "").trim();
  if (token === "") {
    return undefined;
  }
  if (!TOKEN.test(token)) {
    throw InvalidRequest.of(name, "has characters that no header may have: use a token of visible ASCII characters");
  }
  return token;
}

/**
 * Calls the function of the token. Rejects with the signal's reason if it is aborted before. An unusable token is an error
 * of the function: the next one may be usable, for example once a file is written to its end.
 */
async function currentToken(renew: TokenFunction, signal: AbortSignal): Promise<string> {
  try {
    const token: unknown = await unlessAborted(Promise.resolve().then(renew), signal);
    const text = typeof token === "string" ? token.trim() : "";
    if (!TOKEN.test(text)) {
      throw new Error("it returned no token of visible ASCII characters");
    }
    return text;
  } catch (error) {
    signal.throwIfAborted();
    const why = error instanceof Error ? error.message : String(error);
    throw new Unavailable(`the token function failed, so no call was sent: ${why}`, {
      code: "UNAVAILABLE",
      reason: "TOKEN_UNAVAILABLE",
      cause: error,
    });
  }
}

function unlessAborted<T>(awaited: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const end = () => {
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the argument of `abort`.
      reject(signal.reason);
    };
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) {
      end();
    }
    awaited.then(resolve, reject).finally(() => {
      signal.removeEventListener("abort", end);
    });
  });
}

function checkedHeader(name: string, value: unknown): [string, string] {
  const key = name.toLowerCase();
  if (key === AUTHORIZATION) {
    throw InvalidRequest.of("metadata", "has the name authorization: use the option token");
  }
  if (!NAME.test(key) || RESERVED.test(key)) {
    throw InvalidRequest.of("metadata", `has the name ${JSON.stringify(name)}: use a header name of [a-z0-9_.-]`);
  }
  if (typeof value !== "string" || !VALUE.test(value)) {
    throw InvalidRequest.of(`metadata.${key}`, "is not a text of visible ASCII characters");
  }
  return [key, value];
}

/** @throws InvalidRequest unless the address is TLS or loopback. */
function checkIsSecure(address: string, name: string): void {
  const { protocol, hostname } = new URL(address);
  if (protocol !== "https:" && !/^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)) {
    throw InvalidRequest.of(
      name,
      `would be sent over plain text to ${hostname}: use an address with https://, or allowInsecureToken`,
    );
  }
}
