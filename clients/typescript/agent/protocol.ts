// The agent protocol, see ../../conformance/README.md.

export type Fields = Readonly<Record<string, unknown>>;

/** A command: its number, its operation, and its fields. */
export interface Command extends Fields {
  readonly id: number;
  readonly op: string;
}

export type WirePayload =
  | { readonly type: "json"; readonly text: string }
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "data"; readonly base64: string; readonly content_type: string };

/** Sends an event of a command. */
export type Emit = (event: Record<string, unknown>) => void;

export function write(line: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** The fields that are set, under other names. */
export function renamed(fields: Fields, names: Record<string, string>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(names).flatMap(([theirs, ours]) => (fields[theirs] === undefined ? [] : [[ours, fields[theirs]]])),
  );
}
