//! Encoded requests at and above the limits.

use prost::Message;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

use super::{Refusal, check};
use crate::error::ErrorKind;
use crate::proto::v1;

/// The refused field and the description.
fn refused(name: &str, bytes: &[u8]) -> (String, String) {
    let Err(Refusal::Invalid(error)) = check(name, bytes) else { panic!("it passes, or is no message") };
    let ErrorKind::InvalidField(violations) = error.kind() else { panic!("{error:?}") };
    (violations[0].field.clone(), violations[0].description.clone())
}

fn refusal(name: &str, bytes: &[u8]) -> String {
    let (field, description) = refused(name, bytes);
    format!("{field} {description}")
}

fn passes(name: &str, message: &impl Message) {
    assert!(check(name, &message.encode_to_vec()).is_ok());
}

fn labelled(labels: usize) -> v1::JobSpec {
    let labels = (0..labels).map(|number| (number.to_string(), String::new())).collect();
    v1::JobSpec { kind: "k".into(), labels, ..v1::JobSpec::default() }
}

fn json(value: Value) -> v1::Payload {
    v1::Payload { body: Some(v1::payload::Body::Json(value)), ..v1::Payload::default() }
}

fn submit(payload: v1::Payload) -> v1::SubmitRequest {
    let job = v1::JobSpec { kind: "k".into(), payload: Some(payload), ..v1::JobSpec::default() };
    v1::SubmitRequest { job: Some(job), validate_only: false }
}

fn list(values: Vec<Value>) -> Value {
    Value { kind: Some(Kind::ListValue(ListValue { values })) }
}

fn null() -> Value {
    Value { kind: Some(Kind::NullValue(0)) }
}

#[test]
fn lists_pass_up_to_their_limits() {
    let spec = || v1::JobSpec { kind: "k".into(), ..labelled(16) };
    passes("BatchSubmitRequest", &v1::BatchSubmitRequest { jobs: vec![spec(); 1_000], atomic: false });
    let names = vec![String::new(); 1_000];
    let hello = v1::Hello { kinds: names.clone(), queues: names, ..v1::Hello::default() };
    let accepted_lease_ids = vec!["l".repeat(32); 100_000];
    let request = v1::WorkRequest { hello: Some(hello), accepted_lease_ids, ..v1::WorkRequest::default() };
    passes("WorkRequest", &request);
}

#[test]
fn each_list_is_refused_with_its_field_count_and_limit() {
    let empty = |tag: u8, count: usize| [tag, 0].repeat(count);
    let jobs = "jobs has 1001 jobs: allowed is 1 to 1000";
    assert_eq!(refusal("BatchSubmitRequest", &empty(0x0a, 1_001)), jobs);
    assert_eq!(refusal("SubmitStreamRequest", &empty(0x12, 1_001)), jobs);
    let reports = "reports has 100001 entries, the limit is 100000: send several messages";
    assert_eq!(refusal("WorkRequest", &empty(0x2a, 100_001)), reports);
    let accepts = "accepted_lease_ids has 100001 entries, the limit is 100000";
    assert_eq!(refusal("WorkRequest", &empty(0x22, 100_001)), accepts);
    let leases = "lease_ids has 1001 entries, the limit is 1000: send several requests";
    assert_eq!(refusal("ReportRequest", &empty(0x12, 1_001)), leases);
    assert_eq!(refusal("LeaseRequest", &empty(0x12, 1_001)), "kinds has 1001 entries, the limit is 1000");
    let hello = v1::Hello { queues: vec![String::new(); 1_001], ..v1::Hello::default() };
    let hello = v1::WorkRequest { hello: Some(hello), ..v1::WorkRequest::default() }.encode_to_vec();
    assert_eq!(refusal("WorkRequest", &hello), "hello.queues has 1001 entries, the limit is 1000");
    let watch = v1::WatchResultRequest { types: vec![1; 1_001], ..v1::WatchResultRequest::default() };
    let types = "types has 1001 entries, the limit is 1000: name each once";
    assert_eq!(refusal("WatchResultRequest", &watch.encode_to_vec()), types);
}

#[test]
fn the_error_of_labels_names_their_job() {
    let jobs = vec![labelled(4_000), labelled(4_001)];
    let bytes = v1::BatchSubmitRequest { jobs, atomic: false }.encode_to_vec();
    assert_eq!(refusal("BatchSubmitRequest", &bytes), "jobs[1].labels has 4001 entries, the limit is 16");
}

#[test]
fn the_parts_of_a_split_message_are_counted_together() {
    let hello = v1::Hello { kinds: vec![String::new(); 600], ..v1::Hello::default() };
    let part = v1::WorkRequest { hello: Some(hello), ..v1::WorkRequest::default() }.encode_to_vec();
    assert_eq!(refused("WorkRequest", &part.repeat(2)).0, "hello.kinds");
    let part = v1::SubmitRequest { job: Some(labelled(60)), validate_only: false }.encode_to_vec();
    assert_eq!(refused("SubmitRequest", &part.repeat(1_100)).0, "job.labels");
}

#[test]
fn json_is_bounded_by_the_memory_it_takes() {
    passes("SubmitRequest", &submit(json(list(vec![null(); 500_000]))));
    let (field, description) =
        refused("SubmitRequest", &submit(json(list(vec![null(); 900_000]))).encode_to_vec());
    assert_eq!(field, "job.payload.json");
    assert!(
        description.contains("900000 values") && description.contains("send it as text"),
        "{description}"
    );
    let object = || {
        let fields = [("a".to_owned(), null())].into_iter().collect();
        Value { kind: Some(Kind::StructValue(Struct { fields })) }
    };
    passes("SubmitRequest", &submit(json(list(vec![object(); 20_000]))));
    let objects = submit(json(list(vec![object(); 60_000]))).encode_to_vec();
    assert_eq!(refused("SubmitRequest", &objects).0, "job.payload.json");
}

/// A value nested in this many lists, encoded.
fn nested(levels: usize) -> Vec<u8> {
    let mut value = vec![0x08, 0];
    for _ in 0..levels {
        for tag in [0x0a, 0x32] {
            let mut outer = vec![tag];
            prost::encoding::encode_varint(value.len() as u64, &mut outer);
            outer.extend_from_slice(&value);
            value = outer;
        }
    }
    value
}

/// A Submit request with such a value as its payload.
fn submit_nested(levels: usize) -> Vec<u8> {
    let mut message = nested(levels);
    for tag in [0x1a, 0x22, 0x0a] {
        let mut outer = vec![tag];
        prost::encoding::encode_varint(message.len() as u64, &mut outer);
        outer.append(&mut message);
        message = outer;
    }
    message
}

#[test]
fn nesting_has_the_same_limit_as_in_decoded_values() {
    let shallow = submit_nested(30);
    assert!(check("SubmitRequest", &shallow).is_ok() && v1::SubmitRequest::decode(&shallow[..]).is_ok());
    for levels in [60, 3_000] {
        let (field, description) = refused("SubmitRequest", &submit_nested(levels));
        assert_eq!(field, "job.payload.json");
        assert_eq!(
            description,
            "is nested deeper than 30 levels: send it as text with content type application/json"
        );
    }
}

#[test]
fn malformed_messages_are_not_decoded() {
    for bytes in [&[0x0a, 5, 1][..], &[0xff; 16], &[0x0b, 0x0c], &[0x09, 1]] {
        assert!(matches!(check("SubmitRequest", bytes), Err(Refusal::Malformed)), "{bytes:?}");
    }
    let many = [[0x0a, 0].repeat(2_000), vec![0x0a]].concat();
    assert!(check("BatchSubmitRequest", &many).is_err(), "a malformed rest does not matter");
    assert!(check("SubmitRequest", &[0xf8, 0x7f, 1, 0x1a, 0]).is_ok(), "unknown fields are skipped");
    assert!(check("SubmitResponse", &[0xff]).is_err() && check("Nothing", &[0xff]).is_ok());
}
