//! The limits of request fields as JSON Schema keywords: what the parsers check and descriptors do not express.

use std::time::Duration;

use serde_json::{Value, json};

use crate::job::{BAGGAGE_BYTES_MAX, MESSAGE_BYTES_MAX, NAME_CHARS_MAX, PRIORITY_MAX, TRACESTATE_BYTES_MAX};
use crate::proto::parse::{
    ATTEMPTS_MAX, BATCH_JOBS_MAX, CONTENT_TYPE_BYTES_MAX, DELAY, DRAIN, DurationRange, ENUM_ENTRIES_MAX,
    GRACE, HEARTBEAT, LIFETIME, LOG_LEVEL_BYTES_MAX, LOG_LEVELS, MAP_ENTRIES_MAX, MAP_KEY_BYTES_MAX,
    MAP_VALUE_BYTES_MAX, MESSAGE_BYTES_MIN, MULTIPLIER_MAX, PAGE_SIZE_MAX, SERVED_MAX, STATS_RANGE, TIMEOUT,
    UNARY_MAX, WAIT,
};

/// Prefix of the full names of the API.
pub(super) const PACKAGE: &str = "jobstream.v1.";
/// A UUID except the nil UUID.
const UUID_PATTERN: &str =
    "^(?!00000000-0000-0000-0000-000000000000$)[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$";
const LEASE_PATTERN: &str = "^[0-9a-fA-F]{32}$";
/// Empty, or a W3C traceparent of a version before ff, whose ids are not 0.
const TRACEPARENT_PATTERN: &str =
    "^((?!ff|.{3}0{32}|.{36}0{16})[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})?$";
/// A cursor of the feed of all jobs.
pub(super) const CURSOR_PATTERN: &str = "^[0-9a-fA-F]{1,16}-[0-9a-fA-F]{1,16}$";
/// No control characters.
const TEXT_PATTERN: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";
const NANOS_PATTERN: &str = "(\\.[0-9]{1,9})?";

/// Whether a request without this field is refused.
pub(super) fn is_required(field: &str) -> bool {
    matches!(
        field.strip_prefix(PACKAGE).unwrap_or(field),
        "JobSpec.kind"
            | "BatchSubmitRequest.jobs"
            | "RunRequest.job"
            | "LeaseRequest.name"
            | "LeaseRequest.kinds"
            | "AttemptReport.lease_id"
            | "MintTokenRequest.job_id"
            | "SetLogLevelRequest.level"
    )
}

/// Whether one field of this oneof must be set.
pub(super) fn is_required_oneof(oneof: &str) -> bool {
    oneof.strip_prefix(PACKAGE) == Some("AttemptReport.news")
}

/// The keywords of a request field with this full name, or of each of its entries if it is a list.
pub(super) fn of_value(field: &str) -> Value {
    match field.strip_prefix(PACKAGE).unwrap_or(field) {
        "JobSpec.kind"
        | "JobSpec.queue"
        | "RetryRequest.kind"
        | "ListJobsRequest.kind"
        | "GetStatsRequest.queue"
        | "GetStatsRequest.kind"
        | "ListJobsRequest.queue"
        | "WatchJobsRequest.kind"
        | "WatchJobsRequest.queue"
        | "PauseQueueRequest.queue"
        | "ResumeQueueRequest.queue"
        | "PurgeQueueRequest.queue"
        | "LeaseRequest.name"
        | "LeaseRequest.kinds"
        | "LeaseRequest.queues"
        | "ListQueuesRequest.page_token" => {
            json!({ "pattern": format!("^[A-Za-z0-9._:/-]{{1,{NAME_CHARS_MAX}}}$") })
        }
        "JobSpec.priority" => json!({ "minimum": -PRIORITY_MAX, "maximum": PRIORITY_MAX }),
        "JobSpec.attempt_timeout" | "JobSpec.timeout" => duration(&TIMEOUT),
        "JobSpec.start_delay"
        | "JobSpec.retention"
        | "RetryPolicy.initial_backoff"
        | "RetryPolicy.max_backoff"
        | "AttemptFail.retry_after"
        | "AttemptRelease.delay" => duration(&DELAY),
        "RunRequest.heartbeat" | "WatchResultRequest.heartbeat" | "WatchJobsRequest.heartbeat" => {
            duration(&HEARTBEAT)
        }
        "WatchJobsRequest.after_cursor" => json!({ "pattern": CURSOR_PATTERN }),
        "CancelRequest.grace" => duration(&GRACE),
        "DrainWorkerRequest.within" => duration(&DRAIN),
        "GetStatsRequest.range" | "GetStatsRequest.step" => duration(&STATS_RANGE),
        "MintTokenRequest.lifetime" => duration(&LIFETIME),
        "GetResultRequest.wait" | "LeaseRequest.wait" => duration(&WAIT),
        "RetryPolicy.max_attempts" | "RetryPolicy.max_lost_attempts" => json!({ "maximum": ATTEMPTS_MAX }),
        "RetryPolicy.multiplier" => json!({ "minimum": 1, "maximum": MULTIPLIER_MAX }),
        "RetryPolicy.jitter" => json!({ "minimum": 0, "maximum": 1 }),
        "Payload.content_type" => json!({ "maxLength": CONTENT_TYPE_BYTES_MAX, "pattern": "^[ -~]*$" }),
        "TraceContext.traceparent" => json!({ "pattern": TRACEPARENT_PATTERN }),
        "TraceContext.tracestate" => json!({ "maxLength": TRACESTATE_BYTES_MAX, "pattern": "^[ -~]*$" }),
        "TraceContext.baggage" => json!({ "maxLength": BAGGAGE_BYTES_MAX, "pattern": "^[ -~]*$" }),
        "CancelRequest.reason" => json!({ "maxLength": MESSAGE_BYTES_MAX }),
        "LeaseRequest.max_jobs" => json!({ "maximum": UNARY_MAX }),
        "LeaseRequest.message_bytes_max" => json!({ "minimum": MESSAGE_BYTES_MIN }),
        "AttemptReport.lease_id" | "ReportRequest.lease_ids" => json!({ "pattern": LEASE_PATTERN }),
        "SetLogLevelRequest.level" => {
            let level = format!("([A-Za-z0-9_]+(::[A-Za-z0-9_]+)*=)?({})", LOG_LEVELS.join("|"));
            json!({ "maxLength": LOG_LEVEL_BYTES_MAX, "pattern": format!("^{level}(,{level})*$") })
        }
        "DrainWorkerRequest.worker" => json!({ "minLength": 1 }),
        name => of_id_or_page(name),
    }
}

/// The keywords of an id, or of a field that selects a page.
fn of_id_or_page(name: &str) -> Value {
    match name {
        "ListJobsRequest.page_size" | "ListQueuesRequest.page_size" | "ListWorkersRequest.page_size" => {
            json!({ "maximum": PAGE_SIZE_MAX })
        }
        "ListJobsRequest.page_token" => json!({ "pattern": LEASE_PATTERN }),
        "ListWorkersRequest.page_token" => json!({ "pattern": "^[0-9]{1,19}$" }),
        name if name.ends_with("job_id") || name == "LeaseRequest.request_id" => {
            json!({ "format": "uuid", "pattern": UUID_PATTERN })
        }
        _ => json!({}),
    }
}

/// The keywords of a list or a map with this full name.
pub(super) fn of_collection(field: &str) -> Value {
    match field.strip_prefix(PACKAGE).unwrap_or(field) {
        "JobSpec.labels" | "JobSpec.headers" | "ListJobsRequest.labels" | "WatchJobsRequest.labels" => {
            json!({ "maxProperties": MAP_ENTRIES_MAX })
        }
        "BatchSubmitRequest.jobs" => json!({ "minItems": 1, "maxItems": BATCH_JOBS_MAX }),
        "LeaseRequest.kinds" => json!({ "minItems": 1, "maxItems": SERVED_MAX }),
        "LeaseRequest.queues" => json!({ "maxItems": SERVED_MAX }),
        "ReportRequest.reports" | "ReportRequest.lease_ids" => json!({ "maxItems": UNARY_MAX }),
        "RunRequest.types"
        | "WatchResultRequest.types"
        | "ListJobsRequest.states"
        | "WatchJobsRequest.states" => json!({ "maxItems": ENUM_ENTRIES_MAX }),
        _ => json!({}),
    }
}

/// The schema of a label's or header's key.
pub(super) fn map_key() -> Value {
    json!({ "minLength": 1, "maxLength": MAP_KEY_BYTES_MAX, "pattern": TEXT_PATTERN })
}

/// The schema of a label's or header's value.
pub(super) fn map_value() -> Value {
    json!({ "type": "string", "maxLength": MAP_VALUE_BYTES_MAX, "pattern": TEXT_PATTERN })
}

/// The pattern of a duration within a range whose ends are whole seconds, except a minimum of 1 ms.
fn duration(range: &DurationRange) -> Value {
    let (min, max) = (range.min, range.max);
    if max == Duration::MAX {
        // Within the range of a protobuf duration.
        return json!({ "pattern": format!("^[0-9]{{1,11}}{NANOS_PATTERN}s$") });
    }
    let max = max.as_secs();
    let mut alternatives =
        vec![format!("{}{NANOS_PATTERN}", whole_numbers_below(max)), format!("{max}(\\.0{{1,9}})?")];
    match (min.is_zero(), min.as_secs()) {
        (true, _) => alternatives.push(format!("0{NANOS_PATTERN}")),
        (false, 0) => alternatives.push("0\\.[0-9]{0,2}[1-9][0-9]{0,6}".to_owned()),
        (false, _) => {}
    }
    json!({ "pattern": format!("^({})s$", alternatives.join("|")) })
}

/// A pattern of the decimal numbers from 1 to `max - 1`, for a `max` of several digits.
fn whole_numbers_below(max: u64) -> String {
    let digits: Vec<u32> = max.to_string().chars().filter_map(|digit| digit.to_digit(10)).collect();
    let mut shorter = format!("[1-9][0-9]{{0,{}}}", digits.len().saturating_sub(2));
    let mut prefix = String::new();
    for (index, digit) in digits.iter().enumerate() {
        let first = u32::from(index == 0);
        if *digit > first {
            let rest = digits.len() - index - 1;
            shorter += &format!("|{prefix}[{first}-{}][0-9]{{{rest}}}", digit - 1);
        }
        prefix += &digit.to_string();
    }
    format!("({shorter})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_of_numbers_has_an_alternative_for_each_digit() {
        assert_eq!(whole_numbers_below(3600), "([1-9][0-9]{0,2}|[1-2][0-9]{3}|3[0-5][0-9]{2})");
    }
}
