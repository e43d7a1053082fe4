//! The operation of a route: its names, parameters and body.

use serde_json::{Map, Value, json};

use super::comments::{Commented, first_sentence};
use super::limits::CURSOR_PATTERN;
use super::schema::{Schemas, Side, merged};
use super::{examples, limits, responses};
use crate::api::http::idempotency::KEY_BYTES_MAX;
use crate::api::http::query;
use crate::api::http::route::{Body, Handler, IdempotencyKey, Route};
use crate::proto::json::messages;

/// The path of a route as OpenAPI writes it, with its action: `/v1/jobs/{jobId}:cancel`.
pub(super) fn path(route: &Route) -> String {
    let mut path = route.path.to_owned();
    for capture in route.captures() {
        let name = json_name(route, capture);
        path = path.replace(&format!("{{{capture}}}"), &format!("{{{name}}}"));
    }
    match route.action {
        "" => path,
        action => format!("{path}:{action}"),
    }
}

/// The operation of a route.
pub(super) fn operation(route: &Route, schemas: &mut Schemas) -> Value {
    let comment = route.rpc.comment();
    let service = route.rpc.parent_service();
    let (name, summary) = match route.handler {
        Handler::JobPayload => ("GetPayload", "The payload of a job as bytes".to_owned()),
        Handler::ResultPayload => ("GetResultPayload", "The result of a job as bytes".to_owned()),
        _ => (route.rpc.name(), first_sentence(&comment).to_owned()),
    };
    let mut operation = json!({
        "operationId": format!("{}_{name}", service.name()),
        "tags": [service.name()],
        "summary": summary,
        "description": description(route, comment),
    });
    let parameters = parameters(route, schemas);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = body(route, schemas) {
        operation["requestBody"] = body;
    }
    operation["responses"] = responses::responses(route, schemas);
    operation
}

fn description(route: &Route, comment: String) -> String {
    let note = match route.handler {
        Handler::JobPayload => {
            return "The payload, with its content type. It supports ranges and ETag.".to_owned();
        }
        Handler::ResultPayload => {
            return "The result of a job that succeeded, with its content type. It supports ranges and ETag."
                .to_owned();
        }
        Handler::Unary(_) => return comment,
        Handler::Submit => {
            "201 if the job is new, 200 if it existed or was only validated. With `wait` the response has the result as \
             well, if the job ends in time; the status is the same."
        }
        Handler::Result => "200 if the job has ended, 202 with Retry-After if not.",
        Handler::Events => {
            "The media type is text/event-stream, or application/x-ndjson for clients that accept only that or only JSON. A \
             browser's EventSource resumes by Last-Event-ID. At or after the last event of the job the response is \
             204, which ends an EventSource. To a client that names text/event-stream a shutdown of the \
             server is a `retry` and the end of the stream, not an error."
        }
        Handler::Feed => {
            "The media type is text/event-stream, or application/x-ndjson for clients that accept only that or only JSON. A \
             browser's EventSource resumes by Last-Event-ID. To a client that names text/event-stream a shutdown of the \
             server is a `retry` and the end of the stream, not an error."
        }
        Handler::Run => {
            "The media type is text/event-stream, or application/x-ndjson for clients that accept only that or only JSON."
        }
    };
    format!("{comment}\n\n{note}")
}

/// The parameters in the path, the query and the headers.
fn parameters(route: &Route, schemas: &mut Schemas) -> Vec<Value> {
    let input = route.rpc.input();
    let mut parameters = Vec::new();
    for field in route.captures().filter_map(|name| input.get_field_by_name(name)) {
        let schema = schemas.field(Side::Request, &field);
        parameters.push(json!({
            "name": field.json_name(), "in": "path", "required": true,
            "description": field.comment(), "schema": schema,
        }));
    }
    // The payload routes read no other field.
    if matches!(route.handler, Handler::JobPayload | Handler::ResultPayload) {
        parameters.extend(content_headers());
        return parameters;
    }
    for (name, field) in query::parameters(route) {
        parameters.push(query_parameter(&name, &field, schemas));
    }
    if matches!(route.handler, Handler::Submit) {
        parameters.extend(wait_parameter(schemas));
    }
    if matches!(route.handler, Handler::Events) {
        parameters.push(last_event_id());
    }
    if matches!(route.handler, Handler::Feed) {
        parameters.push(last_cursor());
    }
    if matches!(route.idempotency_key, IdempotencyKey::Sets(_)) {
        parameters.push(idempotency_key());
    }
    parameters
}

fn query_parameter(name: &str, field: &prost_reflect::FieldDescriptor, schemas: &mut Schemas) -> Value {
    let mut schema = schemas.field(Side::Request, field);
    if let prost_reflect::Kind::Enum(values) = field.kind() {
        let value = json!({ "type": "string", "enum": query::enum_names(&values) });
        schema = match field.is_list() {
            true => merged(schema, json!({ "items": value, "minItems": 1 })),
            false => value,
        };
    }
    let mut parameter = json!({ "name": name, "in": "query", "description": field.comment() });
    if field.is_map() {
        // Each property is a parameter of its own: label.env=prod.
        let pattern = format!("^{name}\\.[^\\u0000-\\u001f\\u007f-\\u009f]{{1,64}}$");
        schema["propertyNames"] = json!({ "pattern": pattern });
        parameter["style"] = "form".into();
        parameter["explode"] = true.into();
        parameter["description"] = format!("{} As `{name}.KEY=VALUE`.", field.comment()).into();
    } else if field.is_list() {
        parameter["style"] = "form".into();
        parameter["explode"] = false.into();
    }
    parameter["schema"] = schema;
    parameter
}

/// The parameter of Submit that waits for the result.
fn wait_parameter(schemas: &mut Schemas) -> Option<Value> {
    let request = messages().get_message_by_name("jobstream.v1.GetResultRequest")?;
    let field = request.get_field_by_name("wait")?;
    Some(json!({
        "name": "wait", "in": "query",
        "description": format!("{} The response has the result as well.", field.comment()),
        "schema": schemas.field(Side::Request, &field),
    }))
}

fn idempotency_key() -> Value {
    let description = format!(
        "Names this request, so that it can be sent again: a UUID is the id of the new job, of any other text the server \
         derives one. Up to {KEY_BYTES_MAX} bytes of printable ASCII, bare or in double quotes. An id in the body must be \
         the same one."
    );
    let pattern = format!("^[!#-~]([ -~]{{0,{}}}[!-~])?$", KEY_BYTES_MAX - 2);
    json!({
        "name": "Idempotency-Key", "in": "header", "description": description,
        "schema": { "type": "string", "pattern": pattern },
    })
}

fn last_event_id() -> Value {
    json!({
        "name": "Last-Event-ID", "in": "header",
        "description": "The `id` of the last event that the client received. It replaces `afterSequence`.",
        "schema": { "type": "integer", "minimum": 0, "maximum": u32::MAX },
    })
}

fn last_cursor() -> Value {
    json!({
        "name": "Last-Event-ID", "in": "header",
        "description": "The `id` of the last event that the client received. It replaces `afterCursor`.",
        "schema": { "type": "string", "pattern": CURSOR_PATTERN },
    })
}

/// The headers that select a part of the content, or nothing if the client has it.
fn content_headers() -> [Value; 3] {
    let header = |name: &str, description: &str| json!({ "name": name, "in": "header", "description": description, "schema": { "type": "string" } });
    [
        header("If-None-Match", "The ETag of the content that the client has."),
        header("Range", "One range of bytes: `bytes=0-99`."),
        header("If-Range", "The ETag of the content that the range belongs to."),
    ]
}

fn body(route: &Route, schemas: &mut Schemas) -> Option<Value> {
    let input = route.rpc.input();
    let captures: Vec<_> = route.captures().collect();
    let (schema, message) = match route.body {
        Body::None => return None,
        Body::Message => (schemas.body(&input, &captures), input),
        Body::Field(name) => {
            let message = input.get_field_by_name(name)?.kind().as_message()?.clone();
            (schemas.message(Side::Request, &message), message)
        }
    };
    let is_required = message.fields().any(|field| limits::is_required(field.full_name()));
    let mut content = json!({ "schema": schema });
    let examples: Map<_, _> = examples::of(route.rpc.name()).into_iter().collect();
    if !examples.is_empty() {
        content["examples"] = Value::Object(examples);
    }
    Some(json!({ "required": is_required, "content": { "application/json": content } }))
}

fn json_name(route: &Route, field: &str) -> String {
    let field = route.rpc.input().get_field_by_name(field);
    field.map(|field| field.json_name().to_owned()).unwrap_or_default()
}
