//! The answers of AdminService as JSON.

use jobstream::proto::v1::{GetServerInfoResponse, Limits, MemoryUse, Queue, StateCounts, Worker};
use serde_json::{Value, json};

use super::{Object, well_known};
use crate::output::text;

/// What a queue holds.
pub(crate) fn queue(queue: &Queue) -> Value {
    Object::default()
        .with("queue", queue.queue.as_str())
        .with("paused", queue.paused)
        .with("counts", counts(&queue.counts.unwrap_or_default()))
        .with_some("oldestQueuedAge", well_known(queue.oldest_queued_age))
        .with("acceptedPerSecond", queue.accepted_per_second)
        .with("finishedPerSecond", queue.finished_per_second)
        .with("unservedKinds", queue.unserved_kinds.as_slice())
        .done()
}

fn counts(counts: &StateCounts) -> Value {
    json!({
        "scheduled": counts.scheduled,
        "queued": counts.queued,
        "running": counts.running,
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "cancelled": counts.cancelled,
    })
}

/// Who runs jobs, and how busy it is.
pub(crate) fn worker(worker: &Worker) -> Value {
    Object::default()
        .with("workerId", worker.worker_id.as_str())
        .with("name", worker.name.as_str())
        .with("link", text::worker_link(worker.link()))
        .with("state", text::worker_state(worker.state()))
        .with("kinds", worker.kinds.as_slice())
        .with("queues", worker.queues.as_slice())
        .with("slots", worker.slots)
        .with("slotsTaken", worker.slots_taken)
        .with_some("createTime", well_known(worker.create_time))
        .with_some("lastHeardAge", well_known(worker.last_heard_age))
        .with_text("sdk", &worker.sdk)
        .with_text("address", &worker.address)
        .done()
}

/// What a server is and does.
pub(crate) fn server_info(info: &GetServerInfoResponse) -> Value {
    Object::default()
        .with("version", info.version.as_str())
        .with("mode", info.mode.as_str())
        .with("durability", text::durability(info.durability()))
        .with_some("limits", info.limits.as_ref().map(limits))
        .with_some("startTime", well_known(info.start_time))
        .with_some("uptime", well_known(info.uptime))
        .with("bootId", info.boot_id.as_str())
        .with("draining", info.draining)
        .with("kinds", info.kinds.as_slice())
        .with("jobs", info.jobs)
        .with("watchers", info.watchers)
        .with("memory", info.memory.iter().map(memory).collect::<Vec<_>>())
        .done()
}

fn memory(memory: &MemoryUse) -> Value {
    Object::default()
        .with("category", memory.category.as_str())
        .with("usedBytes", memory.used_bytes.to_string())
        .with("limitBytes", memory.limit_bytes.to_string())
        .done()
}

fn limits(limits: &Limits) -> Value {
    Object::default()
        .with("payloadBytesMax", limits.payload_bytes_max)
        .with("messageBytesMax", limits.message_bytes_max)
        .with("jobsMax", limits.jobs_max)
        .with("jobBytesMax", limits.job_bytes_max.to_string())
        .with_some("retention", well_known(limits.retention))
        .with("retentionBytesMax", limits.retention_bytes_max.to_string())
        .with_some("idempotencyWindow", well_known(limits.idempotency_window))
        .with("idempotencyIdsMax", limits.idempotency_ids_max)
        .with("eventRingBytesMax", limits.event_ring_bytes_max)
        .with("batchJobsMax", limits.batch_jobs_max)
        .with_some("resultWaitMax", well_known(limits.result_wait_max))
        .with("watchersMax", limits.watchers_max)
        .with("queuesMax", limits.queues_max)
        .with("memoryBytesMax", limits.memory_bytes_max.to_string())
        .done()
}
