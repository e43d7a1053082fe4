//! Every record comes back as it was, its bytes stay what they are, and what cannot be read is refused and said.

mod golden;
mod records;

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;

use super::enums::{SchemaEnum, read_optional};
use super::pb::record::Change;
use super::*;
use crate::core::IdSecret;
use crate::job::{JobId, JobState, Payload, WaitReason};
use records::{ENCODINGS, FAILURE_REASONS, LEVELS, STATES, STREAMS, WAIT_REASONS};

/// What stands before each record of an entry: its tag, and that its length follows.
const RECORD_KEY: u8 = 3 << 3 | 2;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() }
}

fn now() -> Now {
    Now { monotonic: Duration::new(70, 5), wall: Timestamp::from_micros(1_767_225_600_000_000) }
}

fn bytes_of(records: &[Record]) -> Vec<u8> {
    let mut buffer = Vec::new();
    encode(now(), records, &mut buffer);
    buffer
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of_record(record: &Record) -> Vec<u8> {
    let entry = pb::Entry::decode(&bytes_of(std::slice::from_ref(record))[..]).unwrap();
    entry.records[0].encode_to_vec()
}

/// Bytes of an entry with one record, made of a message that no record makes.
fn entry_of(change: Option<Change>) -> Vec<u8> {
    let mut buffer = bytes_of(&[]);
    buffer.push(RECORD_KEY);
    pb::Record { change }.encode_length_delimited(&mut buffer).unwrap();
    buffer
}

fn job_id() -> pb::Uint128 {
    pb::Uint128 { high: 7, low: 7 }
}

fn reported(body: Option<pb::event::Body>) -> Vec<u8> {
    let event = pb::Event { sequence: 1, time_us: None, attempt: 0, body };
    let id = Some(job_id());
    entry_of(Some(Change::Reported(pb::Reported { id, event: Some(event) })))
}

fn changed_to(change: pb::StateChange) -> Vec<u8> {
    reported(Some(pb::event::Body::State(change)))
}

fn queued() -> pb::StateChange {
    pb::StateChange { state: JobState::Queued.number(), ..pb::StateChange::default() }
}

#[track_caller]
fn assert_newer(bytes: &[u8], what: &str) {
    let error = decode(bytes).unwrap_err();
    let message =
        format!("a newer version of jobstream wrote the log: {what} is not known here: use that version");
    assert_eq!(error.to_string(), message);
}

#[track_caller]
fn assert_damaged(bytes: &[u8], what: &str) {
    let error = decode(bytes).unwrap_err();
    assert!(matches!(&error, Unreadable::Damaged(part) if part.contains(what)), "{error:?}");
}

#[test]
fn a_dump_hides_the_secret_of_ids() {
    let secret = IdSecret::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
    let bytes = bytes_of(&[Record::Secret(secret)]);
    assert_eq!(entry_to_json(&bytes).unwrap()["records"], serde_json::json!([{"record": "id_key"}]));
    assert_eq!(format!("{:?}", Record::Secret(secret)), "Secret(IdSecret(..))");
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn an_entry_comes_back_as_it_was((now, records) in records::entry()) {
        let mut buffer = b"before".to_vec();
        encode(now, &records, &mut buffer);
        let bytes = buffer.strip_prefix(b"before").unwrap();
        prop_assert!(fits(now, &records, bytes.len() + AROUND_PAYLOAD_BYTES));
        prop_assert!(!fits(now, &records, bytes.len() - 1));
        // The generated writer and prost write the same.
        prop_assert_eq!(hex(&pb::Entry::decode(bytes).unwrap().encode_to_vec()), hex(bytes));
        prop_assert_eq!(decode(bytes).unwrap(), Entry { now, part: Part::default(), records });
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn changed_bytes_are_read_or_refused(
        (now, records) in records::entry(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
        cut in proptest::option::of(any::<Index>()),
    ) {
        let mut buffer = Vec::new();
        encode(now, &records, &mut buffer);
        for (at, byte) in changes {
            *at.get_mut(&mut buffer) = byte;
        }
        buffer.truncate(cut.map_or(buffer.len(), |cut| cut.index(buffer.len())));
        // What can be read can be written again.
        if let Ok(Entry { now, records, .. }) = decode(&buffer) {
            let mut again = Vec::new();
            encode(now, &records, &mut again);
            prop_assert!(decode(&again).is_ok());
        }
    }

    #[test]
    fn parts_of_newer_versions_are_ignored(record in records::record()) {
        let mut record_bytes = bytes_of_record(&record);
        // A field with tag 100.
        let newer = [0xa2, 0x06, 0x02, 0x68, 0x69];
        record_bytes.extend(newer);
        let mut buffer = bytes_of(&[]);
        buffer.extend(newer);
        buffer.push(RECORD_KEY);
        prost::encode_length_delimiter(record_bytes.len(), &mut buffer).unwrap();
        buffer.extend(record_bytes);
        prop_assert_eq!(decode(&buffer).unwrap().records, [record]);
    }
}

#[test]
fn every_value_has_a_number_of_its_own() {
    fn check<T: SchemaEnum + Copy + PartialEq + std::fmt::Debug>(values: &[T], first: i32) {
        for (value, number) in values.iter().zip(first..) {
            assert_eq!((value.number(), T::from_number(number)), (number, Ok(*value)));
        }
        assert!(matches!(T::from_number(first + values.len() as i32), Err(Unreadable::Newer(_))));
    }
    check(&STATES, 1);
    check(&WAIT_REASONS, 1);
    check(&FAILURE_REASONS, 1);
    check(&LEVELS, 1);
    check(&STREAMS, 1);
    check(&ENCODINGS, 0);
    assert_eq!(read_optional::<WaitReason>(0), Ok(None));
}

#[test]
fn a_record_of_a_newer_version_is_refused() {
    let mut bytes = bytes_of(&[]);
    // A record whose only field has tag 100.
    bytes.extend([RECORD_KEY, 5, 0xa2, 0x06, 0x02, 0x68, 0x69]);
    assert_newer(&bytes, "a type of record");
    assert_newer(&entry_of(None), "a type of record");
}

#[test]
fn fields_of_a_oneof_of_a_newer_version_are_refused() {
    assert_newer(&reported(None), "a type of event");
    let outcome = Some(pb::Outcome { end: None });
    assert_newer(&changed_to(pb::StateChange { outcome, ..queued() }), "a type of outcome");
    let options = pb::JobOptions { start: Some(pb::Start { when: None }), ..Default::default() };
    assert_newer(&job_with(|job| job.options = Some(options)), "a type of start");
}

#[test]
fn values_of_a_newer_version_are_refused() {
    assert_newer(&changed_to(pb::StateChange { state: 7, ..queued() }), "job state 7");
    assert_newer(&changed_to(pb::StateChange { state: 0, ..queued() }), "job state 0");
    assert_newer(&changed_to(pb::StateChange { wait_reason: 9, ..queued() }), "wait reason 9");
    let failure = Some(pb::Failure { reason: 11, ..Default::default() });
    assert_newer(&changed_to(pb::StateChange { failure, ..queued() }), "failure reason 11");
    let log = pb::Log { level: 5, text: String::new(), stream: 1 };
    assert_newer(&reported(Some(pb::event::Body::Log(log))), "log level 5");
    let log = pb::Log { level: 1, text: String::new(), stream: 4 };
    assert_newer(&reported(Some(pb::event::Body::Log(log))), "log stream 4");
    assert_newer(&job_with(|job| job.payload.get_or_insert_default().encoding = 3), "payload encoding 3");
    assert_newer(&running_with(|running| running.link = 4), "worker link 4");
}

#[test]
fn missing_and_impossible_parts_are_refused() {
    assert_damaged(&entry_of(Some(Change::Removed(pb::Removed::default()))), "no job id");
    assert_damaged(&entry_of(Some(Change::ReportsTaken(pb::ReportsTaken::default()))), "no instance");
    assert_damaged(&running_with(|running| running.lease = None), "no lease");
    assert_damaged(&running_with(|running| (running.link, running.instance) = (2, None)), "no instance");
    assert_damaged(&job_with(|job| job.priority = 128), "priority 128");
    assert_damaged(&job_with(|job| job.kind.clear()), "kind");
    assert_damaged(&job_with(|job| job.queue.push(' ')), "queue");
    let span = pb::Duration { seconds: u64::MAX, nanos: 1_000_000_000 };
    assert_damaged(&running_with(|running| running.attempt_deadline = Some(span)), "1000000000 ns");
    let bytes = bytes_of(&[Record::QueuePaused("q".into(), true)]);
    assert_damaged(&bytes[..bytes.len() - 1], "buffer underflow");
}

#[test]
fn times_behind_records_are_refused() {
    let mut bytes = bytes_of(&[Record::QueuePaused("q".into(), true)]);
    bytes.extend(bytes_of(&[]));
    assert!(decode(&bytes).is_ok());
    let later = pb::Entry { wall_us: 1, ..pb::Entry::default() };
    bytes.extend(later.encode_to_vec());
    assert_damaged(&bytes, "its times come after its records");
}

#[test]
fn a_large_payload_is_copied_once() {
    let kind = crate::job::Kind::parse("kind", "k").unwrap();
    let job = crate::job::NewJob::new(kind, Payload::data(vec![7; 1 << 20]));
    let mut buffer = Vec::new();
    encode(now(), &[accepted(job)], &mut buffer);
    // The buffer was allocated once, with the length of the entry.
    assert_eq!(buffer.capacity(), buffer.len());
}

fn accepted(job: crate::job::NewJob) -> Record {
    Record::Accepted(crate::core::Accepted {
        id: JobId::from_bytes([7; 16]),
        job,
        number: 1,
        create_time: Timestamp::default(),
        created: Duration::ZERO,
        first_wait: None,
        deadline: Duration::MAX,
        owner: None,
    })
}

/// Bytes of an entry with a job that was accepted, changed so.
fn job_with(change: impl FnOnce(&mut pb::Job)) -> Vec<u8> {
    let mut job = pb::Job { kind: "k".to_owned(), queue: "q".to_owned(), ..Default::default() };
    change(&mut job);
    let id = Some(job_id());
    entry_of(Some(Change::Accepted(pb::Accepted { id, job: Some(job), ..Default::default() })))
}

/// Bytes of an entry with a job that runs, its attempt changed so.
fn running_with(change: impl FnOnce(&mut pb::Running)) -> Vec<u8> {
    let id = Some(job_id());
    let mut running =
        pb::Running { lease: Some(pb::Uint128 { high: 0, low: 1 }), link: 1, ..Default::default() };
    change(&mut running);
    let event = pb::Event { body: Some(pb::event::Body::State(queued())), ..pb::Event::default() };
    let (event, running) = (Some(event), Some(running));
    entry_of(Some(Change::Moved(pb::Moved { id, event, running, ..Default::default() })))
}

#[test]
fn what_was_read_is_not_a_part_of_a_larger_buffer() {
    let log = |text: &str| Payload::data(text.to_owned());
    let mut records: Vec<_> = Vec::new();
    for text in ["one", "two"] {
        let job = crate::job::NewJob::new(crate::job::Kind::parse("kind", "k").unwrap(), log(text));
        records.push(accepted(job));
    }
    for record in decode(&bytes_of(&records)).unwrap().records {
        let Record::Accepted(accepted) = record else { panic!("it was accepted") };
        // Alone in its allocation, it can be taken as it is.
        let payload = accepted.job.payload.bytes;
        let at = payload.as_ptr();
        let owned: Vec<u8> = payload.into();
        assert_eq!((owned.capacity(), owned.as_ptr()), (owned.len(), at));
    }
}
