// Entry point `jobstream/testing`: a real server for tests.

export { type ServerOptions, TestServer, startServer } from "./testing/server.js";
