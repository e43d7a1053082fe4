// Texts as the server bounds them: in bytes of UTF-8.

const encoder = new TextEncoder();

/** How many bytes a text takes. */
export function byteLength(text: string): number {
  return encoder.encode(text).length;
}

/** The text, cut between two characters if it has more bytes. */
export function cutText(text: string, bytesMax: number): string {
  // No character takes more than three bytes a code unit.
  if (text.length * 3 <= bytesMax) {
    return text;
  }
  const { read } = encoder.encodeInto(text, new Uint8Array(bytesMax));
  return text.slice(0, read);
}
