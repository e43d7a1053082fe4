// The conformance agent: executes commands from stdin concurrently until stdin ends.

import { createInterface } from "node:readline";

import { Commands } from "./commands.js";
import { encodeError } from "./errors.js";
import { type Command, write } from "./protocol.js";

const commands = new Commands();

async function execute(command: Command): Promise<void> {
  const { id } = command;
  try {
    const ok = await commands.run(command, (event) => {
      write({ id, event });
    });
    write({ id, ok });
  } catch (error) {
    write({ id, error: encodeError(error) });
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  void execute(JSON.parse(line) as Command);
}
commands.close();
process.exit();
