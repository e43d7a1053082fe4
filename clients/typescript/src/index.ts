// Entry point `jobstream`: client and worker for Node.

export { Client, type NodeClientOptions } from "./node/client.js";
export type { ClientCertificate, Pem, TlsOptions } from "./node/tls.js";
export * from "./shared.js";
export { Context } from "./worker/context.js";
export type { Handler, HandlerInterceptor, HandlerOptions, Parser } from "./worker/handler.js";
export type { Logger } from "./worker/log.js";
export type { Connected, Disconnected, WorkerOptions } from "./worker/options.js";
export { PermanentError, RetryLater } from "./worker/final_report.js";
export type { SettledCallback } from "./worker/settlement.js";
export { type RunOptions, Worker } from "./worker/worker.js";
