//! The table of all families. The Prometheus text, `jobstream explain` and docs/monitoring.md come from it.

use super::{Family, Kind};

/// Defines a constant for each family, and the list of all.
macro_rules! families {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal, $query:literal;)*) => {
        $(pub(crate) static $constant: Family = Family {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
            query: $query,
        };)*

        /// Every family of a server, grouped by subject.
        pub static FAMILIES: &[&Family] = &[$(&$constant),*];
    };
}

families! {
    JOBS_SUBMITTED: Counter "jobstream_jobs_submitted_total" ["queue", "kind"]
        "Jobs that were accepted",
        "sum by (queue) (rate(jobstream_jobs_submitted_total[5m]))";
    SUBMIT_DEDUPLICATED: Counter "jobstream_submit_deduplicated_total" ["queue"]
        "Submissions that were answered with an existing job, by its job id or idempotency key",
        "sum by (queue) (rate(jobstream_submit_deduplicated_total[5m]))";
    JOBS_FINISHED: Counter "jobstream_jobs_finished_total" ["queue", "kind", "outcome"]
        "Jobs that ended: succeeded, failed or cancelled",
        "sum by (queue, outcome) (rate(jobstream_jobs_finished_total[5m]))";
    ATTEMPTS_STARTED: Counter "jobstream_attempts_started_total" ["queue", "kind"]
        "Attempts that began",
        "sum by (kind) (rate(jobstream_attempts_started_total[5m]))";
    ATTEMPTS_FAILED: Counter "jobstream_attempts_failed_total" ["queue", "kind", "reason"]
        "Attempts that failed, by the reason of the failure; a retry may follow",
        "sum by (kind, reason) (rate(jobstream_attempts_failed_total[5m]))";
    ATTEMPTS_RELEASED: Counter "jobstream_attempts_released_total" ["queue", "kind"]
        "Attempts that their worker released; they do not count as attempts of the job",
        "sum by (kind) (increase(jobstream_attempts_released_total[10m]))";
    LEASES_EXPIRED: Counter "jobstream_leases_expired_total" ["queue"]
        "Attempts that were lost because their worker was silent, left or crashed",
        "sum by (queue) (increase(jobstream_leases_expired_total[10m]))";
    JOB_WAIT: Histogram "jobstream_job_wait_seconds" ["queue", "kind"]
        "Time from when an attempt could start until it started",
        "histogram_quantile(0.95, sum by (queue, le) (rate(jobstream_job_wait_seconds_bucket[5m])))";
    ATTEMPT_DURATION: Histogram "jobstream_attempt_duration_seconds" ["queue", "kind", "outcome"]
        "Time that attempts ran: succeeded, failed or cancelled",
        "histogram_quantile(0.95, sum by (kind, le) (rate(jobstream_attempt_duration_seconds_bucket[5m])))";
    JOB_END_TO_END: Histogram "jobstream_job_end_to_end_seconds" ["queue", "kind", "outcome"]
        "Time from when a job could start until it ended, with its retries",
        "histogram_quantile(0.95, sum by (queue, le) (rate(jobstream_job_end_to_end_seconds_bucket[5m])))";
    SUBMIT_REJECTED: Counter "jobstream_submit_rejected_total" ["reason"]
        "Submissions that were refused, by the reason of the error; each refused job of a batch counts",
        "sum by (reason) (rate(jobstream_submit_rejected_total[5m]))";
    PAYLOAD_BYTES: Histogram "jobstream_payload_bytes" ["direction"]
        "Sizes of payloads: input of accepted jobs, result of jobs, event for output, log lines and texts of progress",
        "histogram_quantile(0.95, sum by (direction, le) (rate(jobstream_payload_bytes_bucket[5m])))";

    QUEUE_JOBS: Gauge "jobstream_queue_jobs" ["queue", "state"]
        "Jobs that have not ended, by state: scheduled, queued or running",
        "sum by (queue) (jobstream_queue_jobs{state=\"queued\"})";
    QUEUE_OLDEST_READY_AGE: Gauge "jobstream_queue_oldest_ready_age_seconds" ["queue"]
        "How long the oldest job waits that could start now; 0 if none waits",
        "max by (queue) (jobstream_queue_oldest_ready_age_seconds)";
    QUEUE_PAUSED: Gauge "jobstream_queue_paused" ["queue"]
        "1 while the queue is paused, otherwise 0",
        "jobstream_queue_paused == 1";
    QUEUE_UNSERVED_JOBS: Gauge "jobstream_queue_unserved_jobs" ["queue", "kind"]
        "Jobs that could start now, but no connected worker serves their kind in their queue",
        "sum by (queue, kind) (jobstream_queue_unserved_jobs) > 0";
    FOLDED_NAMES: Gauge "jobstream_metrics_folded_names" ["label"]
        "Queues, and pairs of queue and kind (label lane), that share the series of _other: 200 have their own",
        "jobstream_metrics_folded_names > 0";

    WORKER_SLOTS: Gauge "jobstream_worker_slots" ["pool"]
        "Attempts that connected workers can run at a time, without inline handlers; pool is local or remote",
        "sum(jobstream_worker_slots)";
    WORKER_SLOTS_USED: Gauge "jobstream_worker_slots_used" ["pool"]
        "Slots of connected workers that are in use",
        "sum(jobstream_worker_slots_used) / sum(jobstream_worker_slots)";
    WORKERS_CONNECTED: Gauge "jobstream_workers_connected" ["pool", "sdk"]
        "Connected workers, by the language of their library",
        "sum by (sdk) (jobstream_workers_connected)";
    HEARTBEAT_LAG: Gauge "jobstream_heartbeat_lag_seconds" ["pool"]
        "Time since the last message of the worker that has been silent for longest",
        "max(jobstream_heartbeat_lag_seconds)";

    WATCH_STREAMS: Gauge "jobstream_watch_streams" []
        "Open watches: WatchResult, WatchJobs, Run and waiting GetResult",
        "sum(jobstream_watch_streams)";
    WATCH_EVENTS_SENT: Counter "jobstream_watch_events_sent_total" []
        "Events that watches delivered",
        "rate(jobstream_watch_events_sent_total[5m])";
    WATCH_GAPS: Counter "jobstream_watch_gaps_total" ["reason"]
        "Gaps in watches: ranges of output and log events that were no longer retained",
        "increase(jobstream_watch_gaps_total[10m])";
    WATCH_RESUMES: Counter "jobstream_watch_resumes_total" []
        "Watches that were opened after a sequence that the caller had",
        "rate(jobstream_watch_resumes_total[5m])";
    WATCH_DELIVERY_LAG: Histogram "jobstream_watch_delivery_lag_seconds" []
        "Time from when an event was recorded until an open watch delivered it, for the oldest event of each delivery",
        "histogram_quantile(0.99, sum by (le) (rate(jobstream_watch_delivery_lag_seconds_bucket[5m])))";

    RESULTS_RETAINED: Gauge "jobstream_results_retained" []
        "Jobs that ended and are retained",
        "sum(jobstream_results_retained)";
    RESULTS_RETAINED_BYTES: Gauge "jobstream_results_retained_bytes" []
        "Bytes of the jobs that ended and are retained, in memory and on disk",
        "sum(jobstream_results_retained_bytes)";
    RESULTS_EVICTED: Counter "jobstream_results_evicted_total" ["reason"]
        "Jobs that were removed after their end: ttl is the retention, bytes the bound of their bytes, deleted a call",
        "sum by (reason) (increase(jobstream_results_evicted_total[10m]))";

    STORE_OP_DURATION: Histogram "jobstream_store_op_duration_seconds" ["op", "backend"]
        "Duration of operations of the log: append writes to a segment, sync makes it durable, read loads a job, compact frees space",
        "histogram_quantile(0.99, sum by (le) (rate(jobstream_store_op_duration_seconds_bucket{op=\"sync\"}[5m])))";
    STORE_ERRORS: Counter "jobstream_store_errors_total" ["backend"]
        "Failures of the log; the first one stops the server",
        "increase(jobstream_store_errors_total[10m])";
    STORE_USED_BYTES: Gauge "jobstream_store_used_bytes" ["backend"]
        "Bytes of the segments of the log",
        "sum(jobstream_store_used_bytes)";
    STORE_SEGMENTS: Gauge "jobstream_store_segments" ["backend"]
        "Segments of the log",
        "sum(jobstream_store_segments)";
    STORE_QUEUED_BYTES: Gauge "jobstream_store_queued_bytes" ["backend"]
        "Bytes of records that wait for their append",
        "max(jobstream_store_queued_bytes)";

    RPC_CALL_DURATION: Histogram "rpc_server_call_duration_seconds" ["rpc_method", "rpc_status_code"]
        "Duration of unary calls, over gRPC and HTTP/JSON, by method and gRPC status",
        "histogram_quantile(0.99, sum by (le, rpc_method) (rate(rpc_server_call_duration_seconds_bucket[5m])))";
    RPC_STREAM_DURATION: Histogram "rpc_server_stream_duration_seconds" ["rpc_method", "rpc_status_code"]
        "Duration of streaming calls from the request to their end, by method and gRPC status",
        "sum by (rpc_method) (rate(rpc_server_stream_duration_seconds_count[5m]))";
    CALLS_REFUSED: Counter "jobstream_calls_refused_total" ["reason"]
        "Calls that ended with an error, by its reason; other errors share _other",
        "sum by (reason) (rate(jobstream_calls_refused_total[5m]))";
    CONNECTIONS_OPEN: Gauge "jobstream_connections_open" []
        "Open connections of clients and workers",
        "sum(jobstream_connections_open)";
    CONNECTIONS_REFUSED: Counter "jobstream_connections_refused_total" []
        "Connections that were closed at once because a limit was reached",
        "rate(jobstream_connections_refused_total[5m])";

    MEMORY_USED_BYTES: Gauge "jobstream_memory_used_bytes" ["category"]
        "Memory in use by category, as `jobstream info` lists it",
        "jobstream_memory_used_bytes / jobstream_memory_limit_bytes";
    MEMORY_LIMIT_BYTES: Gauge "jobstream_memory_limit_bytes" ["category"]
        "The bound of each category of memory",
        "sum(jobstream_memory_limit_bytes)";

    READY: Gauge "jobstream_ready" ["check"]
        "1 if the check passes: accepting is 0 while new jobs are refused (drain, full disk), log is 0 after the log failed",
        "min(jobstream_ready) == 0";
    PROCESS_CPU: Counter "process_cpu_seconds_total" []
        "CPU time of the server's process, on Linux",
        "rate(process_cpu_seconds_total[5m])";
    PROCESS_RESIDENT_MEMORY: Gauge "process_resident_memory_bytes" []
        "Memory of the server's process in RAM, on Linux",
        "process_resident_memory_bytes";
    PROCESS_OPEN_FDS: Gauge "process_open_fds" []
        "Open file descriptors of the server's process, on Linux",
        "process_open_fds / process_max_fds";
    PROCESS_MAX_FDS: Gauge "process_max_fds" []
        "The limit of open file descriptors of the server's process, on Linux",
        "process_max_fds";
    PROCESS_START_TIME: Gauge "process_start_time_seconds" []
        "When the server's process started, in seconds since 1970, on Linux",
        "time() - process_start_time_seconds";
    START_TIME: Gauge "jobstream_start_time_seconds" []
        "When the server started, in seconds since 1970",
        "time() - jobstream_start_time_seconds";
    BUILD_INFO: Gauge "jobstream_build_info" ["version", "commit", "mode"]
        "Always 1: the version, the commit of a release build, and the mode, memory or disk",
        "count by (version) (jobstream_build_info)";
}
