// Entry point `jobstream/web`: the client for browsers. Workers need Node.

export * from "./shared.js";
export { Client, type WebClientOptions } from "./web/client.js";
