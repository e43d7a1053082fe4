// Watches a job in two parts, like a program that restarts in between: `node watch_with_resume.js [ADDRESS]`.

import { Client } from "jobstream";

await using client = new Client(process.argv[2]);
const { id } = await client.submit("count", { to: 3 });

let last = 0;
for await (const event of client.job(id).watch()) {
  console.log("first part:", event.type);
  if (event.type === "progress") {
    last = event.sequence;
    break;
  }
}
for await (const event of client.job(id).watch({ afterSequence: last })) {
  switch (event.type) {
    case "state":
      console.log("second part:", event.state);
      break;
    case "progress":
      console.log("second part:", event.message);
      break;
    case "gap":
      console.log("second part: no longer retained:", event.first, "to", event.last);
      break;
    case "output":
    case "log":
      break;
  }
}
