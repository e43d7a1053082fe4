// Exports shared by both entry points.

export type { CallOptions } from "./client/base.js";
export type { JobRequest, SubmitResult } from "./client/batch.js";
export type {
  GapEvent,
  JobEvent,
  LogEvent,
  LogLevel,
  OutputEvent,
  Progress,
  ProgressEvent,
  StateEvent,
} from "./client/events.js";
export type { ChangeFilter, Feed, FeedGap, FeedItem, FeedOptions, JobChange } from "./client/feed.js";
export { type CancelOptions, Job } from "./client/job.js";
export type { HeaderOptions, TokenFunction } from "./client/headers.js";
export type { OutgoingJob, SubmitInterceptor, Submitted } from "./client/interceptors.js";
export type { RetryJobOptions } from "./client/finished.js";
export type { JobFilter } from "./client/list.js";
export type { ClientOptions, TriesOptions } from "./client/options.js";
export type { QueueView } from "./client/queues.js";
export type { ResultOptions } from "./client/result.js";
export type { RunJobOptions } from "./client/run.js";
export type { Stubs } from "./client/stubs.js";
export type { RetryOptions, SubmitOptions } from "./client/submit.js";
export type { AttemptView, JobView } from "./client/view.js";
export type { WatchOptions } from "./client/watch.js";
export { parseJson, stringifyJson } from "./data/json.js";
export type { Failure, FailureReason, JobState, Outcome, WaitReason } from "./data/outcome.js";
export { Payload } from "./data/payload.js";
export type { TraceContext } from "./data/trace_context.js";
export * from "./errors.js";
