// Job ids.

import { v7 } from "uuid";

import { InvalidRequest } from "../errors.js";

const UUID = /^[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}$/i;

/** A new job id, a UUID v7. */
export function newJobId(): string {
  return v7();
}

/**
 * Returns the id.
 *
 * @throws InvalidRequest if it is not a UUID.
 */
export function checkedJobId(field: string, id: string): string {
  if (!UUID.test(id)) {
    const hint = "derive one from a name with UUIDv5, such as v5(name, v5.URL) of the package uuid";
    throw InvalidRequest.of(field, `is ${JSON.stringify(id)}: must be a UUID; ${hint}`);
  }
  return id;
}
