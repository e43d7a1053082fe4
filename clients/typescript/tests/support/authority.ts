// A certificate authority of openssl, and the files that it issues in a temporary directory.

import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

export class Authority implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "jobstream-tls-"));

  static async create(name = "jobstream test CA"): Promise<Authority> {
    const authority = new Authority();
    const files = ["-keyout", authority.path("ca.key"), "-out", authority.path("ca.crt")];
    await run("openssl", ["req", "-x509", ...NEW_KEY, "-subj", `/CN=${name}`, ...files]);
    return authority;
  }

  /** Writes `NAME.crt` and `NAME.key` for these names, such as `DNS:localhost,IP:127.0.0.1`. */
  async issue(name: string, subjectAltName: string): Promise<void> {
    const file = (ending: string) => this.path(`${name}.${ending}`);
    const names = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=${subjectAltName}`];
    await run("openssl", ["req", ...NEW_KEY, ...names, "-keyout", file("key"), "-out", file("csr")]);
    const issuer = ["-CA", this.path("ca.crt"), "-CAkey", this.path("ca.key"), "-CAcreateserial"];
    const request = ["-in", file("csr"), "-copy_extensions", "copy"];
    await run("openssl", ["x509", "-req", ...request, ...issuer, "-days", "1", "-out", file("crt")]);
  }

  /** The path of a file in the directory. */
  path(file: string): string {
    return join(this.directory, file);
  }

  bytes(file: string): Uint8Array {
    return readFileSync(this.path(file));
  }

  /** The flags of a server with the files of this name. */
  flags(name: string): string[] {
    return ["--tls-cert", this.path(`${name}.crt`), "--tls-key", this.path(`${name}.key`)];
  }

  /** The files of this name, as the certificate of a client. */
  certificate(name: string) {
    return { certificate: this.path(`${name}.crt`), key: this.path(`${name}.key`) };
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}
