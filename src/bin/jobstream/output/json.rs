//! Messages as JSON for scripts, as module `proto::json` of the library writes them: enum values have no prefix
//! (`SUCCEEDED`).

use jobstream::proto::json::{self, EnumNames};
use prost::Message;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::exit::Exit;

pub(crate) use json::value_of as value;

/// The message of this name in `jobstream.v1`, as JSON.
///
/// # Errors
///
/// If it holds what JSON cannot show, such as a time beyond the year 9999.
pub(crate) fn message(name: &str, message: &impl Message) -> Result<Value> {
    json::to_value(name, message, EnumNames::Short)
        .map_err(|error| Error::new(Exit::Other, format!("cannot show {name} as JSON: {error}")))
}

/// The message with one more field in front, such as the id that an answer does not repeat.
///
/// # Errors
///
/// As [`message`].
pub(crate) fn message_of(field: (&str, String), name: &str, message: &impl Message) -> Result<Value> {
    let mut object = Map::from_iter([(field.0.to_owned(), field.1.into())]);
    if let Value::Object(fields) = self::message(name, message)? {
        object.extend(fields);
    }
    Ok(Value::Object(object))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use jobstream::proto::v1::job_event::Event;
    use jobstream::proto::v1::job_spec::Start;
    use jobstream::proto::v1::outcome::End;
    use jobstream::proto::v1::payload::Body;
    use jobstream::proto::v1::{
        Cancellation, Failure, FailureReason, Job, JobEvent, JobSpec, JobState, Log, LogLevel, LogStream,
        MemoryUse, Outcome, Payload, Progress, WaitReason,
    };
    use prost_types::{Duration, Timestamp};
    use serde_json::json;

    use super::*;
    use crate::payload::text_payload;

    fn shown(name: &str, message: &impl Message) -> Value {
        self::message(name, message).expect("it has a form in JSON")
    }

    #[test]
    fn a_job_has_proto_json_names_and_short_enum_values() {
        let spec = JobSpec {
            kind: "resize".into(),
            start: Some(Start::StartDelay(Duration { seconds: 1, nanos: 500_000_000 })),
            labels: [("b".into(), "2".into()), ("a".into(), "1".into())].into(),
            ..JobSpec::default()
        };
        let mut job = Job { job_id: "id".into(), spec: Some(spec), attempt: 2, ..Job::default() };
        job.create_time = Some(Timestamp { seconds: 1, nanos: 0 });
        job.set_state(JobState::Queued);
        job.set_wait_reason(WaitReason::NoWorker);
        let shown = shown("Job", &job);
        assert_eq!(shown["jobId"], "id");
        assert_eq!(shown["state"], "QUEUED");
        assert_eq!(shown["waitReason"], "NO_WORKER");
        assert_eq!(shown["createTime"], "1970-01-01T00:00:01Z");
        assert_eq!(shown["spec"]["startDelay"], "1.500s");
        assert_eq!(shown["spec"]["labels"].to_string(), r#"{"a":"1","b":"2"}"#);
        assert_eq!(shown.get("finishTime"), None);
    }

    #[test]
    fn a_field_without_presence_is_there_and_an_unspecified_value_is_not() {
        let shown = shown("Job", &Job::default());
        assert_eq!((&shown["attempt"], &shown["cancelRequested"]), (&json!(0), &json!(false)));
        assert_eq!((&shown["attempts"], &shown["originJobId"]), (&json!([]), &json!("")));
        assert_eq!((shown.get("state"), shown.get("waitReason")), (None, None));
    }

    #[test]
    fn every_end_of_a_job_is_shown() {
        let end = |end| shown("Outcome", &Outcome { end: Some(end) });
        let mut failed = Failure { message: "boom".into(), attempt: 3, ..Failure::default() };
        failed.set_reason(FailureReason::ExitStatus);
        assert_eq!(end(End::Failure(failed))["failure"]["reason"], "EXIT_STATUS");
        assert_eq!(end(End::Result(text_payload("hi")))["result"]["text"], "hi");
        let cancellation = Cancellation { forced: true, ..Cancellation::default() };
        assert_eq!(
            end(End::Cancellation(cancellation)),
            json!({ "cancellation": { "reason": "", "forced": true, "principal": "" } })
        );
    }

    #[test]
    fn events_carry_their_content() {
        let of = |content| {
            shown("JobEvent", &JobEvent { sequence: 4, event: Some(content), ..JobEvent::default() })
        };
        let mut log = Log { text: "line".into(), ..Log::default() };
        log.set_level(LogLevel::Warn);
        log.set_stream(LogStream::Stderr);
        assert_eq!(
            of(Event::Log(log))["log"],
            json!({ "level": "WARN", "text": "line", "stream": "STDERR" })
        );
        let progress = Progress { fraction: Some(0.5), ..Progress::default() };
        let shown = of(Event::Progress(progress));
        assert_eq!(shown["progress"], json!({ "fraction": 0.5, "unit": "", "message": "" }));
        assert_eq!(shown["sequence"], 4);
    }

    #[test]
    fn a_payload_has_the_name_of_its_arm_and_integers_of_64_bits_are_strings() {
        let of = |body, content_type: &str| {
            shown("Payload", &Payload { body: Some(body), content_type: content_type.into() })
        };
        assert_eq!(of(Body::Text("a".into()), "text/csv"), json!({ "text": "a", "contentType": "text/csv" }));
        assert_eq!(of(Body::Data(Bytes::from_static(b"\0\xff")), ""), json!({ "data": "AP8=" }));
        assert_eq!(of(Body::Json(value("null").expect("JSON")), ""), json!({ "json": null }));
        let memory = MemoryUse { used_bytes: 7, ..MemoryUse::default() };
        assert_eq!(shown("MemoryUse", &memory)["usedBytes"], "7");
    }

    #[test]
    fn whole_numbers_of_a_payload_have_no_fraction() {
        let sent = r#"{"a":[1,-2.5,true,null,"x"],"b":{"c":9007199254740992}}"#;
        let payload = Payload { body: value(sent).map(Body::Json), ..Payload::default() };
        assert_eq!(shown("Payload", &payload)["json"].to_string(), sent);
    }

    #[test]
    fn what_has_no_form_in_json_is_an_error() {
        let time = Timestamp { seconds: i64::MAX, nanos: 0 };
        let job = Job { create_time: Some(time), ..Job::default() };
        assert!(message("Job", &job).expect_err("no such year").message.contains("cannot show Job"));
    }
}
