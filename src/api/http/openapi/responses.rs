//! The responses of each route: statuses, headers and media types.

use serde_json::{Map, Value, json};

use super::schema::{Schemas, Side, merged, reference};
use crate::api::http::problem::PROBLEM_JSON;
use crate::api::http::route::{Body, Handler, IdempotencyKey, Route};

/// The errors of HTTP, by status: the name of the response and what it means.
const PROBLEMS: [(u16, &str, &str); 17] = [
    (
        400,
        "BadRequest",
        "A field, a query parameter or a header is invalid (INVALID_FIELD with every violation), or the body is incomplete.",
    ),
    (
        401,
        "Unauthorized",
        "The server verifies callers, and the request has no valid credential (CREDENTIAL_REQUIRED, CREDENTIAL_INVALID, CREDENTIAL_EXPIRED).",
    ),
    (
        403,
        "Forbidden",
        "The caller lacks a grant (GRANT_MISSING), or the request comes from a web page of another origin (ORIGIN_NOT_ALLOWED).",
    ),
    (
        404,
        "NotFound",
        "The job, queue or worker is unknown (JOB_NOT_FOUND, QUEUE_NOT_FOUND, WORKER_NOT_FOUND).",
    ),
    (
        406,
        "NotAcceptable",
        "The request accepts neither text/event-stream nor application/x-ndjson (NOT_ACCEPTABLE).",
    ),
    (408, "RequestTimeout", "The body did not arrive in time (DEADLINE_EXCEEDED)."),
    (
        409,
        "Conflict",
        "The state of the job or worker forbids the call (ILLEGAL_STATE), the job id was used with another spec (JOB_ID_REUSED), or a repeat of the request took its place (WORKER_REPLACED).",
    ),
    (410, "Gone", "The job is known, but it was removed with its result (RESULT_EXPIRED)."),
    (413, "ContentTooLarge", "The payload or the body exceeds its limit (PAYLOAD_TOO_LARGE)."),
    (
        415,
        "UnsupportedMediaType",
        "The content type is not application/json in UTF-8 (UNSUPPORTED_MEDIA_TYPE), or the body is compressed (UNSUPPORTED_CONTENT_ENCODING).",
    ),
    (416, "RangeNotSatisfiable", "The range is beyond the content (RANGE_NOT_SATISFIABLE)."),
    (
        421,
        "MisdirectedRequest",
        "The Host header names a host that the server does not allow (HOST_NOT_ALLOWED).",
    ),
    (422, "UnprocessableContent", "The Idempotency-Key was used with another body (JOB_ID_REUSED)."),
    (
        429,
        "TooManyRequests",
        "A limit is reached: jobs, bytes, queues, watches, connections or the quota of the caller (QUEUE_FULL, DISK_FULL, QUOTA and others).",
    ),
    (500, "InternalServerError", "A bug of the server (INTERNAL). The detail has the id of the request."),
    (501, "NotImplemented", "The body has a transfer coding other than chunked (UNIMPLEMENTED)."),
    (
        503,
        "ServiceUnavailable",
        "The server is shutting down or its log has failed (DRAINING, CONNECTION_CLOSING, LOG_FAILED).",
    ),
];

/// The statuses of errors that any request may get.
const EVERYWHERE: [u16; 7] = [400, 401, 403, 421, 429, 500, 503];
/// The statuses of errors of a request with a body.
const OF_BODY: [u16; 4] = [408, 413, 415, 501];

/// The statuses of the errors of a route.
fn error_statuses(route: &Route) -> Vec<u16> {
    let mut statuses = EVERYWHERE.to_vec();
    if route.body != Body::None {
        statuses.extend(OF_BODY);
    }
    statuses.extend::<&[u16]>(match route.rpc.name() {
        "Submit" => &[409, 410],
        "BatchSubmit" => &[409, 410],
        "Run" => &[406, 409, 410],
        "WatchResult" => &[404, 406, 410],
        "WatchJobs" => &[406],
        "GetJob" | "GetResult" | "MintToken" => &[404, 410],
        "Cancel" | "Retry" | "Delete" => &[404, 409, 410],
        "ResumeQueue" | "PurgeQueue" => &[404],
        "DrainWorker" => &[404, 409],
        "Lease" => &[409],
        _ => &[],
    });
    if matches!(route.idempotency_key, IdempotencyKey::Sets(_)) {
        statuses.push(422);
    }
    match route.handler {
        Handler::JobPayload => statuses.push(416),
        Handler::ResultPayload => statuses.extend([409, 416]),
        _ => {}
    }
    statuses.sort_unstable();
    statuses
}

/// The responses of a route.
pub(super) fn responses(route: &Route, schemas: &mut Schemas) -> Value {
    let mut responses = successes(route, schemas);
    responses.extend(error_references(&error_statuses(route)));
    Value::Object(responses)
}

/// References to the shared responses of errors with these statuses.
pub(super) fn error_references(statuses: &[u16]) -> Map<String, Value> {
    let reference = |status: &u16| {
        let problem = PROBLEMS.iter().find(|(known, ..)| known == status);
        let name = problem.map_or("InternalServerError", |(_, name, _)| name);
        (status.to_string(), json!({ "$ref": format!("#/components/responses/{name}") }))
    };
    statuses.iter().map(reference).collect()
}

fn successes(route: &Route, schemas: &mut Schemas) -> Map<String, Value> {
    let output = route.rpc.output();
    let output = match route.handler {
        Handler::Events | Handler::Run | Handler::Feed => {
            // The schemas of one event refer to those of its content.
            output.fields().for_each(|field| drop(schemas.field(Side::Response, &field)));
            Value::Null
        }
        Handler::JobPayload | Handler::ResultPayload => Value::Null,
        _ => schemas.message(Side::Response, &output),
    };
    let entries = match route.handler {
        Handler::Unary(_) => vec![("200", json_response("The result.", output, &[]))],
        Handler::Submit => {
            let waited = json!({ "anyOf": [output, reference("SubmitAndResult")] });
            let submitted = |description: &str| {
                merged(json_response(description, waited.clone(), &["Location"]), json!({ "links": links() }))
            };
            vec![
                ("200", submitted("The job existed, or it was only validated.")),
                ("201", submitted("The job is new.")),
            ]
        }
        Handler::Result => vec![
            ("200", json_response("The job has ended: its outcome.", output.clone(), &[])),
            ("202", json_response("The job has not ended: its state.", output, &["Retry-After"])),
        ],
        Handler::Events => {
            vec![("200", stream()), ("204", empty("The client has the last event of the job."))]
        }
        Handler::Run => vec![("200", stream())],
        Handler::Feed => vec![("200", feed())],
        Handler::JobPayload | Handler::ResultPayload => vec![
            (
                "200",
                content("The content, as a download.", &["ETag", "Accept-Ranges", "Content-Disposition"]),
            ),
            (
                "206",
                content(
                    "The range of the content.",
                    &["ETag", "Accept-Ranges", "Content-Disposition", "Content-Range"],
                ),
            ),
            ("304", merged(empty("The client has the content."), json!({ "headers": headers(&["ETag"]) }))),
        ],
    };
    entries.into_iter().map(|(status, response)| (status.to_owned(), response)).collect()
}

/// What a client does next with a submitted job.
fn links() -> Value {
    let link = |operation: &str| {
        json!({
            "operationId": format!("JobService_{operation}"),
            "parameters": { "jobId": "$response.body#/jobId" },
        })
    };
    json!({ "job": link("GetJob"), "result": link("GetResult"), "events": link("WatchResult"), "cancel": link("Cancel") })
}

fn json_response(description: &str, schema: Value, names: &[&str]) -> Value {
    json!({
        "description": description,
        "headers": headers(names),
        "content": { "application/json": { "schema": schema } },
    })
}

fn stream() -> Value {
    json!({
        "description": "The events, until the one that ends the job.",
        "headers": headers(&[]),
        "content": {
            "text/event-stream": { "schema": reference("ServerSentEvent") },
            "application/x-ndjson": { "schema": reference("EventLine") },
        },
    })
}

fn feed() -> Value {
    json!({
        "description": "The changes. The stream has no end of its own.",
        "headers": headers(&[]),
        "content": {
            "text/event-stream": { "schema": reference("FeedServerSentEvent") },
            "application/x-ndjson": { "schema": reference("FeedLine") },
        },
    })
}

fn content(description: &str, names: &[&str]) -> Value {
    // Of any media type: that of the payload.
    json!({ "description": description, "headers": headers(names), "content": { "*/*": {} } })
}

fn empty(description: &str) -> Value {
    json!({ "description": description, "headers": headers(&[]) })
}

pub(super) fn headers(names: &[&str]) -> Value {
    let names = ["X-Request-Id"].iter().chain(names);
    let reference =
        |name: &&str| ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }));
    Value::Object(names.map(reference).collect())
}

/// The responses that several routes have.
pub(super) fn shared_responses() -> Value {
    let response = |(status, name, description): &(u16, &str, &str)| {
        let names: &[&str] = match status {
            401 => &["WWW-Authenticate"],
            416 => &["Content-Range"],
            429 | 503 => &["Retry-After"],
            _ => &[],
        };
        let response = json!({
            "description": description,
            "headers": headers(names),
            "content": { PROBLEM_JSON: { "schema": reference("Problem") } },
        });
        ((*name).to_owned(), response)
    };
    Value::Object(PROBLEMS.iter().map(response).collect())
}

/// The headers that several responses have.
pub(super) fn shared_headers() -> Value {
    let text = |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    json!({
        "Accept-Ranges": text("`bytes`: ranges of the content can be requested."),
        "Content-Disposition": text("`attachment`: a browser never shows the content."),
        "Content-Range": text("The range, and the size of the content."),
        "ETag": text("The digest of the content, for If-None-Match and If-Range."),
        "Location": text("The path of the job. Absent after validateOnly."),
        "Retry-After": {
            "description": "When to ask again, in seconds.",
            "schema": { "type": "integer", "minimum": 0 },
        },
        "WWW-Authenticate": text("`Bearer`."),
        "X-Request-Id": text("The id of the request: the one that it had in the same header, or a new one."),
    })
}
