//! The schemas of what HTTP adds to the messages: problems, and the events of a stream.

use serde_json::json;

use super::schema::{Schemas, merged, reference};

/// Adds the schemas that no message has.
pub(super) fn add(schemas: &mut Schemas) {
    let text = |description: &str| json!({ "type": "string", "description": description });
    schemas.add("Problem", json!({
        "type": "object",
        "description": "An error, as RFC 9457 problem details.",
        "properties": {
            "type": text("A URN of the reason."),
            "title": text("The reason in words."),
            "status": { "type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status." },
            "detail": text("What is wrong, the value, the limit and the way out. For people."),
            "code": text("The gRPC code: `INVALID_ARGUMENT`."),
            "reason": text("The reason, for programs: `INVALID_FIELD`."),
            "violations": {
                "type": "array",
                "description": "Every invalid field, of INVALID_FIELD.",
                "items": {
                    "type": "object",
                    "properties": {
                        "field": text("The path of the field: `retry.maxAttempts`."),
                        "description": text("What is wrong with it."),
                    },
                    "required": ["field", "description"],
                },
            },
            "retryAfter": {
                "type": "integer", "minimum": 0,
                "description": "When to send the request again, in seconds. Also in the header Retry-After.",
            },
            "metadata": {
                "type": "object",
                "description": "Further facts, by name: the job id, the limit, the state.",
                "additionalProperties": { "type": "string" },
            },
        },
        "required": ["type", "title", "status", "detail", "code", "reason"],
    }));
    add_stream_schemas(schemas);
    add_feed_schemas(schemas);
    schemas.add("SubmitAndResult", json!({
        "type": "object",
        "description": "The response of a submit with `wait`.",
        "properties": {
            "submit": reference("SubmitResponse"),
            "result": merged(reference("GetResultResponse"), json!({
                "description": "The result, or the state of a job that has not ended. Absent if it could not be read: \
                    the job is submitted in any case.",
            })),
        },
        "required": ["submit"],
    }));
}

/// Adds the schemas of one event of the feed of all jobs.
fn add_feed_schemas(schemas: &mut Schemas) {
    let names = ["JobChange", "FeedGap", "Problem"].map(reference);
    let cursor = json!({ "type": "string", "description": "Resumes the feed after this event." });
    schemas.add(
        "FeedServerSentEvent",
        json!({
            "type": "object",
            "description": "One event of the feed. Comments are heartbeats, with the cursor as `id`.",
            "properties": {
                "id": cursor,
                "event": {
                    "type": "string",
                    "description": "`change` has a JobChange, `gap` has a FeedGap. `problem` has a Problem and ends the stream.",
                    "enum": ["change", "gap", "problem"],
                },
                "data": {
                    "type": "string",
                    "description": "A JSON object.",
                    "contentMediaType": "application/json",
                    "contentSchema": { "anyOf": names },
                },
                "retry": { "type": "integer", "description": "When to reconnect, in milliseconds." },
            },
        }),
    );
    let member =
        |name: &str, description: &str| merged(reference(name), json!({ "description": description }));
    schemas.add(
        "FeedLine",
        json!({
            "type": "object",
            "description": "One line of the feed: an object with a cursor and one more member.",
            "properties": {
                "cursor": cursor,
                "change": member("JobChange", "A state change of a job."),
                "gap": member("FeedGap", "Changes that the server does not retain."),
                "heartbeat": member("FeedHeartbeat", "The first line, and a line after each silence."),
                "error": member("Problem", "Why the stream ends. It has no cursor."),
            },
            "minProperties": 1,
            "maxProperties": 2,
        }),
    );
}

/// Adds the schemas of one event of a stream.
fn add_stream_schemas(schemas: &mut Schemas) {
    let names = ["SubmitResponse", "JobEvent", "Gap", "Problem"].map(reference);
    schemas.add(
        "ServerSentEvent",
        json!({
            "type": "object",
            "description": "One event of the stream. Comments are heartbeats.",
            "properties": {
                "id": {
                    "type": "string", "pattern": "^[0-9]+$",
                    "description": "The sequence of the event, of a gap its last one.",
                },
                "event": {
                    "type": "string",
                    "description": "`stateChange`, `progress`, `output` and `log` have a JobEvent, `gap` has a Gap, `submitted`, \
                        the first event of a run, has a SubmitResponse. `problem` has a Problem and ends the stream.",
                    "enum": ["submitted", "stateChange", "progress", "output", "log", "gap", "problem"],
                },
                "data": {
                    "type": "string",
                    "description": "A JSON object.",
                    "contentMediaType": "application/json",
                    "contentSchema": { "anyOf": names },
                },
                "retry": { "type": "integer", "description": "When to reconnect, in milliseconds." },
            },
        }),
    );
    let member =
        |name: &str, description: &str| merged(reference(name), json!({ "description": description }));
    schemas.add(
        "EventLine",
        json!({
            "type": "object",
            "description": "One line of the stream: an object with one member.",
            "properties": {
                "submitted": member("SubmitResponse", "The first line of a run."),
                "event": member("JobEvent", "An event of the job."),
                "gap": member("Gap", "Events that were dropped."),
                "heartbeat": member("Heartbeat", "No event was sent for the heartbeat interval."),
                "error": member("Problem", "Why the stream ends before the job."),
            },
            "minProperties": 1,
            "maxProperties": 1,
        }),
    );
}
