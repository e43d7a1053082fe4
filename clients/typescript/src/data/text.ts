// Text lengths: in UTF-8 bytes, as limited by the server, and in characters.

const encoder = new TextEncoder();

/** The length of a text in UTF-8 bytes. */
export function byteLength(text: string): number {
  return encoder.encode(text).length;
}

/** The text, truncated between two characters if it has more bytes. */
export function truncateText(text: string, bytesMax: number): string {
  // A UTF-16 code unit has at most three bytes in UTF-8.
  if (text.length * 3 <= bytesMax) {
    return text;
  }
  const { read } = encoder.encodeInto(text, new Uint8Array(bytesMax));
  return text.slice(0, read);
}

/** The text, with an ellipsis in place of its end if it has more characters. */
export function shorten(text: string, charactersMax: number): string {
  const characters = Array.from(text.slice(0, 2 * charactersMax + 2));
  return characters.length <= charactersMax ? text : `${characters.slice(0, charactersMax - 1).join("")}…`;
}
