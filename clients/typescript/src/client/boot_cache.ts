// Detects a server restart between the submit of a job and a later call: in memory mode a restart loses every job.

import { JobNotFound, ServerRestarted } from "../errors.js";

/** One run of the server process. The id is undefined until the server has returned it. */
export interface Boot {
  id: string | undefined;
}

/** The cached boot id. */
export class BootCache {
  #current: Boot | undefined;

  /** `lookUp` requests the boot id from the server. */
  constructor(readonly lookUp: () => Promise<string>) {}

  /** The current boot. Its id is looked up concurrently, once. */
  current(): Boot {
    if (this.#current !== undefined) {
      return this.#current;
    }
    const boot: Boot = { id: undefined };
    this.#current = boot;
    this.lookUp().then(
      (id) => (boot.id = id),
      // Without the id, a job lost by a restart is reported as JobNotFound.
      () => {
        this.#invalidateIf(boot);
      },
    );
    return boot;
  }

  /** Drops the cached boot id: the server may have restarted. */
  invalidate(): void {
    this.#current = undefined;
  }

  #invalidateIf(boot: Boot): void {
    if (this.#current === boot) {
      this.#current = undefined;
    }
  }
}

/** Converts JobNotFound to ServerRestarted if another run of the server had accepted the job. */
export function detectRestart(error: unknown, boot: Boot | undefined): unknown {
  if (!(error instanceof JobNotFound) || boot?.id === undefined) {
    return error;
  }
  const { boot_id: received } = error.metadata as { boot_id?: string };
  if (received === undefined || received === boot.id) {
    return error;
  }
  const message = `${error.message}: the server restarted and holds jobs in memory only: submit it again`;
  const { code, reason, metadata } = error;
  return new ServerRestarted(message, { code, reason, metadata, cause: error });
}
