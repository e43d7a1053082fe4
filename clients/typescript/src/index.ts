// Entry point `jobstream`: client and worker for Node.

export { Client, type NodeClientOptions } from "./node/client.js";
export * from "./shared.js";
