// The conformance agent: one command a line, side by side, until stdin ends.

import { createInterface } from "node:readline";

import { Commands } from "./commands.js";
import { told } from "./errors.js";
import { type Command, write } from "./protocol.js";

const commands = new Commands();

async function answer(command: Command): Promise<void> {
  const { id } = command;
  try {
    const ok = await commands.run(command, (event) => {
      write({ id, event });
    });
    write({ id, ok });
  } catch (error) {
    write({ id, error: told(error) });
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  void answer(JSON.parse(line) as Command);
}
commands.close();
process.exit();
