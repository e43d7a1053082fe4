// The TLS options of a Node client: the authorities that it trusts, and its own certificate.

import { type KeyObject, X509Certificate, createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import * as tls from "node:tls";

import { InvalidRequest } from "../errors.js";

/** The path of a PEM file, a text in PEM format, or the content of a PEM file. */
export type Pem = string | Uint8Array;

/** A certificate and its private key. */
export interface ClientCertificate {
  readonly certificate: Pem;
  readonly key: Pem;
}

/** TLS for addresses with `https://`. */
export interface TlsOptions {
  /**
   * Certificates of the authorities to trust, in place of those of the system. Default: the file that the environment
   * variable JOBSTREAM_CA names, if it is set.
   */
  readonly ca?: Pem | undefined;
  /**
   * The certificate of this client, followed by intermediate ones, and its private key, for servers that require one. Files
   * are read again for each connection, so that a renewed certificate is used. While they cannot be read or do not fit
   * together, the former ones stay in use, and a JobstreamWarning of the process says why.
   */
  readonly clientCertificate?: ClientCertificate | undefined;
  /** Further TLS options of Node. */
  readonly tls?: tls.ConnectionOptions | undefined;
}

const BEGIN = "-----BEGIN ";
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g;

/**
 * Returns the TLS options of the next connection, each time it is called. `otherwise` is the CA file of the environment.
 *
 * @throws InvalidRequest if a file cannot be read or is unusable.
 */
export function tlsOf(address: string, options: TlsOptions, otherwise = ""): () => tls.ConnectionOptions {
  const given = options.tls ?? {};
  if (!address.startsWith("https:")) {
    for (const name of ["ca", "clientCertificate"] as const) {
      if (options[name] !== undefined) {
        throw InvalidRequest.of(name, `needs TLS, and the address is ${address}: use https://host:port`);
      }
    }
    return () => given;
  }
  const ca = trusted(options, otherwise);
  const { clientCertificate } = options;
  if ((ca === undefined && clientCertificate === undefined) || given.secureContext !== undefined) {
    return () => given;
  }
  const base = { ...given, ...(ca !== undefined && { ca }) };
  if (clientCertificate === undefined) {
    const current = withContext(base);
    return () => current;
  }
  const identity = new Identity(base, clientCertificate);
  return () => identity.options();
}

/** A certificate and its key in PEM format, as Node names them. */
interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** The certificate of a client, as its files are now. */
class Identity {
  #pair: Pair;
  #options: tls.ConnectionOptions;
  /** Why the files are unusable now. */
  #problem = "";

  /** @throws InvalidRequest if the files are unusable. */
  constructor(
    readonly base: tls.ConnectionOptions,
    readonly files: ClientCertificate,
  ) {
    this.#pair = readPair(files, base.passphrase);
    this.#options = withContext(base, this.#pair);
  }

  /** The options with the files as they are now, or as they were when they were usable. */
  options(): tls.ConnectionOptions {
    try {
      const pair = readPair(this.files, this.base.passphrase);
      if (pair.cert !== this.#pair.cert || pair.key !== this.#pair.key) {
        this.#options = withContext(this.base, pair);
        this.#pair = pair;
      }
      this.#problem = "";
    } catch (error) {
      this.#warn(messageOf(error));
    }
    return this.#options;
  }

  /** Warns once of each problem. */
  #warn(problem: string): void {
    if (problem !== this.#problem) {
      process.emitWarning(`${problem}; the former certificate stays in use`, "JobstreamWarning");
    }
    this.#problem = problem;
  }
}

function readPair({ certificate, key }: ClientCertificate, passphrase: string | undefined): Pair {
  const name = "clientCertificate.key";
  const pair = {
    cert: checkedCertificates("clientCertificate.certificate", certificate),
    key: read(name, key),
  };
  if (!new X509Certificate(pair.cert).checkPrivateKey(parsedKey(name, key, pair.key, passphrase))) {
    const other = fileOf(certificate) ?? "clientCertificate.certificate";
    throw InvalidRequest.of(name, described(key, `is not that of ${other}`));
  }
  return pair;
}

/** The options with their certificates parsed, for any number of connections. */
function withContext(base: tls.ConnectionOptions, pair?: Pair): tls.ConnectionOptions {
  try {
    return { ...base, secureContext: tls.createSecureContext({ ...base, ...pair }) };
  } catch (error) {
    throw InvalidRequest.of("clientCertificate", `is unusable with its key: ${messageOf(error)}`);
  }
}

/** The authorities to trust; undefined for those of Node. */
function trusted(options: TlsOptions, otherwise: string): string | string[] | undefined {
  if (options.ca !== undefined) {
    return checkedCertificates("ca", options.ca);
  }
  if (options.tls?.ca !== undefined || options.tls?.pfx !== undefined) {
    return undefined;
  }
  return otherwise === "" ? systemRoots() : checkedCertificates("JOBSTREAM_CA", otherwise);
}

/** The roots of the system and of Node. Node before 22.15 has only its own, and those of NODE_EXTRA_CA_CERTS. */
function systemRoots(): string[] | undefined {
  const { getCACertificates } = tls as { getCACertificates?: (type: "default" | "system") => string[] };
  return getCACertificates && [...new Set([...getCACertificates("default"), ...getCACertificates("system")])];
}

/** The path of a PEM file in quotes; undefined for the content of one. */
function fileOf(pem: Pem): string | undefined {
  return typeof pem === "string" && !pem.includes(BEGIN) ? JSON.stringify(pem) : undefined;
}

/** What is wrong with a PEM file, or with the content of one. */
function described(pem: Pem, problem: string): string {
  const file = fileOf(pem);
  return file === undefined ? problem : `is ${file}, which ${problem}`;
}

/** The text of a PEM file. */
function read(name: string, pem: Pem): string {
  if (typeof pem !== "string") {
    return Buffer.from(pem).toString("latin1");
  }
  if (pem.includes(BEGIN)) {
    return pem;
  }
  try {
    return readFileSync(pem, "latin1");
  } catch (error) {
    throw InvalidRequest.of(name, described(pem, `cannot be read: ${messageOf(error)}`));
  }
}

function checkedCertificates(name: string, pem: Pem): string {
  const text = read(name, pem);
  const certificates = text.match(CERTIFICATE) ?? [];
  if (certificates.length === 0) {
    const problem = "has no certificate in PEM format: use a file with -----BEGIN CERTIFICATE-----";
    throw InvalidRequest.of(name, described(pem, problem));
  }
  for (const certificate of certificates) {
    try {
      new X509Certificate(certificate);
    } catch (error) {
      throw InvalidRequest.of(name, described(pem, `has an unusable certificate: ${messageOf(error)}`));
    }
  }
  return text;
}

/** The key in the text of a PEM file. */
function parsedKey(name: string, pem: Pem, text: string, passphrase: string | undefined): KeyObject {
  if (!text.includes("PRIVATE KEY-----")) {
    const problem = "has no private key in PEM format: use a file with -----BEGIN PRIVATE KEY-----";
    throw InvalidRequest.of(name, described(pem, problem));
  }
  if (passphrase === undefined && text.includes("ENCRYPTED")) {
    throw InvalidRequest.of(name, described(pem, "is encrypted: decrypt it with openssl pkey, or set tls.passphrase"));
  }
  try {
    return createPrivateKey({ key: text, ...(passphrase !== undefined && { passphrase }) });
  } catch (error) {
    throw InvalidRequest.of(name, described(pem, `has an unusable private key: ${messageOf(error)}`));
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
