// Which start of the server accepted a job: in memory mode a restart loses it.

import { JobNotFound, ServerRestarted } from "../errors.js";

/** One start of the server; its id is there once the server told it. */
export interface Boot {
  id: string | undefined;
}

/** The start that is thought to be the present one. */
export class Boots {
  #present: Boot | undefined;

  /** `ask` asks the server for the id of its start. */
  constructor(readonly ask: () => Promise<string>) {}

  /** The present start. The server is asked for it once, beside everything else. */
  present(): Boot {
    if (this.#present !== undefined) {
      return this.#present;
    }
    const boot: Boot = { id: undefined };
    this.#present = boot;
    this.ask().then(
      (id) => (boot.id = id),
      // Without it a restart is told as a job that is not found.
      () => {
        this.#drop(boot);
      },
    );
    return boot;
  }

  /** The server was away: it may have been started anew. */
  forget(): void {
    this.#present = undefined;
  }

  #drop(boot: Boot): void {
    if (this.#present === boot) {
      this.#present = undefined;
    }
  }
}

/** The same error, or ServerRestarted if the job was accepted by an earlier start than the one that misses it. */
export function explain(error: unknown, boot: Boot | undefined): unknown {
  if (!(error instanceof JobNotFound) || boot?.id === undefined) {
    return error;
  }
  const { boot_id: present } = error.metadata as { boot_id?: string };
  if (present === undefined || present === boot.id) {
    return error;
  }
  const message = `${error.message}: the server was started anew since and keeps jobs in memory only: submit it again`;
  const { code, reason, metadata } = error;
  return new ServerRestarted(message, { code, reason, metadata, cause: error });
}
