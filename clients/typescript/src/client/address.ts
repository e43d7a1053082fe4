// Parses server addresses.

import { InvalidRequest } from "../errors.js";

export const DEFAULT_ADDRESS = "http://127.0.0.1:7070";

/**
 * The base URL of an address: `http://host:port`, `https://host:port` or `host:port`.
 *
 * @throws InvalidRequest if the address is invalid.
 */
export function readAddress(address: string): string {
  const text = address.includes("://") ? address : `http://${address}`;
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw badAddress(address, "is not a URL");
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw badAddress(address, `has the scheme ${url.protocol}`);
  }
  if (url.username !== "" || url.search !== "" || url.hash !== "") {
    throw badAddress(address, "has more than scheme, host, port and path");
  }
  return url.href.replace(/\/$/, "");
}

function badAddress(address: string, why: string): InvalidRequest {
  return InvalidRequest.of("address", `${JSON.stringify(address)} ${why}: use http://host:port or https://host:port`);
}
