//! Helpers for specs, payloads and outcomes.

use jobstream::proto::v1;
use jobstream::proto::v1::payload::Body;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

/// Returns a new job id.
pub(crate) fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

pub(crate) fn job(kind: &str) -> v1::JobSpec {
    v1::JobSpec { kind: kind.to_owned(), ..Default::default() }
}

/// Returns a job that ends at once with this text.
pub(crate) fn echo(words: &str) -> v1::JobSpec {
    v1::JobSpec { payload: Some(text(words)), ..job("demo.echo") }
}

/// Returns jobs that end at once, each with a new id.
pub(crate) fn batch(jobs: usize) -> Vec<v1::JobSpec> {
    (0..jobs).map(|number| v1::JobSpec { job_id: new_id(), ..echo(&number.to_string()) }).collect()
}

pub(crate) fn text(words: &str) -> v1::Payload {
    v1::Payload { body: Some(Body::Text(words.to_owned())), content_type: String::new() }
}

pub(crate) fn data(bytes: impl Into<bytes::Bytes>) -> v1::Payload {
    v1::Payload { body: Some(Body::Data(bytes.into())), content_type: String::new() }
}

/// Returns a payload with a JSON value.
pub(crate) fn json(value: serde_json::Value) -> v1::Payload {
    v1::Payload { body: Some(Body::Json(wire_value(value))), content_type: String::new() }
}

fn wire_value(value: serde_json::Value) -> Value {
    let kind = match value {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(truth) => Kind::BoolValue(truth),
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().expect("a double")),
        serde_json::Value::String(words) => Kind::StringValue(words),
        serde_json::Value::Array(values) => {
            Kind::ListValue(ListValue { values: values.into_iter().map(wire_value).collect() })
        }
        serde_json::Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name, wire_value(value)));
            Kind::StructValue(Struct { fields: fields.collect() })
        }
    };
    Value { kind: Some(kind) }
}

/// Serializes a value to a JSON payload.
pub(crate) fn json_of(value: impl serde::Serialize) -> v1::Payload {
    json(serde_json::to_value(value).expect("JSON"))
}

pub(crate) fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

pub(crate) fn millis(millis: i32) -> prost_types::Duration {
    prost_types::Duration { seconds: i64::from(millis / 1000), nanos: millis % 1000 * 1_000_000 }
}

/// The outcome of a job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ended {
    pub(crate) id: String,
    pub(crate) state: v1::JobState,
    pub(crate) sequence: u32,
    end: v1::outcome::End,
}

impl Ended {
    #[track_caller]
    pub(crate) fn of(id: &str, answer: &v1::GetResultResponse) -> Self {
        let outcome = answer.outcome.clone();
        let end = outcome.and_then(|outcome| outcome.end);
        let end = end.unwrap_or_else(|| panic!("job {id} has not ended: {answer:?}"));
        Self { id: id.to_owned(), state: answer.state(), sequence: answer.sequence, end }
    }

    #[track_caller]
    pub(crate) fn result(&self) -> &v1::Payload {
        let v1::outcome::End::Result(result) = &self.end else { panic!("no result: {self:?}") };
        assert_eq!(self.state, v1::JobState::Succeeded);
        result
    }

    /// Returns a text result.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        let Some(Body::Text(text)) = &self.result().body else { panic!("no text: {self:?}") };
        text
    }

    #[track_caller]
    pub(crate) fn failure(&self) -> &v1::Failure {
        let v1::outcome::End::Failure(failure) = &self.end else { panic!("no failure: {self:?}") };
        assert_eq!(self.state, v1::JobState::Failed);
        failure
    }

    #[track_caller]
    pub(crate) fn cancellation(&self) -> &v1::Cancellation {
        let v1::outcome::End::Cancellation(cancelled) = &self.end else { panic!("not cancelled: {self:?}") };
        assert_eq!(self.state, v1::JobState::Cancelled);
        cancelled
    }
}
