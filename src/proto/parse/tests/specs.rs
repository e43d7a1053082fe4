//! Job specs: defaults, bounds and field paths.

use proptest::prelude::*;

use super::*;
use crate::job::{JobId, JobOptions, NewJob, Payload, RetryPolicy, Start, Timestamp};
use crate::proto::v1;
use crate::proto::v1::job_spec;

fn spec() -> v1::JobSpec {
    v1::JobSpec { kind: "resize".to_owned(), ..Default::default() }
}

fn read(spec: v1::JobSpec) -> Result<NewJob> {
    new_job(spec, "job", PayloadSource::Alone, 1 << 20)
}

fn options(spec: v1::JobSpec) -> JobOptions {
    (*read(spec).unwrap().options.unwrap()).clone()
}

fn with_retry(retry: v1::RetryPolicy) -> v1::JobSpec {
    v1::JobSpec { retry: Some(retry), ..spec() }
}

fn retry() -> v1::RetryPolicy {
    v1::RetryPolicy::default()
}

fn at(micros: i64) -> Option<job_spec::Start> {
    let seconds = micros.div_euclid(1_000_000);
    let nanos = micros.rem_euclid(1_000_000) as i32 * 1000;
    Some(job_spec::Start::StartTime(prost_types::Timestamp { seconds, nanos }))
}

fn after(seconds: i64) -> Option<job_spec::Start> {
    Some(job_spec::Start::StartDelay(prost_types::Duration { seconds, nanos: 0 }))
}

#[test]
fn a_kind_is_enough() {
    let job = read(spec()).unwrap();
    assert_eq!((job.id, job.kind.as_str(), job.queue.as_str(), job.priority), (None, "resize", "default", 0));
    assert_eq!((job.payload, job.options), (Payload::default(), None));
}

#[test]
fn options_with_default_values_are_none() {
    let retry = v1::RetryPolicy { max_attempts: 1, initial_backoff: seconds(1), ..retry() };
    let spec = v1::JobSpec { start: after(0), ..with_retry(retry) };
    assert_eq!(read(spec).unwrap().options, None);
}

#[test]
fn every_option_is_parsed() {
    let day = seconds(86_400);
    let labels = [("a".to_owned(), "1".to_owned())];
    let job = read(v1::JobSpec {
        job_id: ID.to_owned(),
        queue: "images".to_owned(),
        priority: -100,
        start: after(5),
        attempt_timeout: seconds(6),
        timeout: seconds(7),
        retention: seconds(0),
        labels: labels.clone().into(),
        headers: labels.clone().into(),
        retry: Some(v1::RetryPolicy {
            max_attempts: 100,
            initial_backoff: seconds(0),
            multiplier: 1.0,
            max_backoff: day,
            jitter: Some(0.0),
            max_lost_attempts: 100,
        }),
        ..spec()
    })
    .unwrap();
    assert_eq!(job.id, Some(JobId::parse("job_id", ID).unwrap()));
    assert_eq!((job.queue.as_str(), job.priority), ("images", -100));
    let expected = JobOptions {
        start: Start::After(Duration::from_secs(5)),
        attempt_timeout: Some(Duration::from_secs(6)),
        timeout: Some(Duration::from_secs(7)),
        retention: Some(Duration::ZERO),
        labels: labels.clone().into(),
        headers: labels.into(),
        retry: RetryPolicy {
            max_attempts: 100,
            initial_backoff: Duration::ZERO,
            multiplier: 1.0,
            max_backoff: Duration::from_secs(86_400),
            jitter: 0.0,
            max_lost_attempts: 100,
        },
        origin: None,
        trace: None,
    };
    assert_eq!(job.options.as_deref(), Some(&expected));
}

#[test]
fn names_and_ids_are_checked() {
    assert!(violation(read(v1::JobSpec::default())).starts_with("job.kind: is required"));
    assert!(
        violation(read(v1::JobSpec { kind: "a b".to_owned(), ..spec() }))
            .starts_with("job.kind: \"a b\" has")
    );
    let long = v1::JobSpec { queue: "q".repeat(129), ..spec() };
    assert!(violation(read(long)).starts_with("job.queue: has 129 bytes, the limit is 128"));
    let id = v1::JobSpec { job_id: "seven".to_owned(), ..spec() };
    let message = violation(read(id));
    assert!(message.starts_with("job.job_id: \"seven\" is not a job id: it must be a UUID"), "{message}");
    assert!(message.ends_with("`uuidgen --sha1 --namespace @dns --name order-123`"), "{message}");
}

#[test]
fn priorities_have_bounds() {
    for priority in [101, -101, i32::MAX, i32::MIN, -128] {
        let message = violation(read(v1::JobSpec { priority, ..spec() }));
        assert_eq!(message, format!("job.priority: is {priority}: allowed is -100 to 100"));
    }
    assert_eq!(read(v1::JobSpec { priority: 100, ..spec() }).unwrap().priority, 100);
}

#[test]
fn a_start_in_the_past_is_valid_so_that_a_repeated_submit_is_equal() {
    for micros in [-1, 0, 1_767_225_600_000_001] {
        let time = Timestamp::from_micros(micros);
        assert_eq!(options(v1::JobSpec { start: at(micros), ..spec() }).start, Start::At(time));
    }
}

#[test]
fn starts_have_bounds() {
    let message = violation(read(v1::JobSpec { start: after(-1), ..spec() }));
    assert_eq!(message, "job.start_delay: is -1 s: allowed is 0 to 10 years");
    let message = violation(read(v1::JobSpec { start: after(315_360_001), ..spec() }));
    assert_eq!(message, "job.start_delay: is 315360001 s: allowed is 0 to 10 years");
    let time = job_spec::Start::StartTime(prost_types::Timestamp { seconds: 0, nanos: -1 });
    let message = violation(read(v1::JobSpec { start: Some(time), ..spec() }));
    assert!(message.starts_with("job.start_time: is not a timestamp: 0 seconds and -1 nanos"), "{message}");
}

#[test]
fn time_limits_have_bounds() {
    let message = violation(read(v1::JobSpec { attempt_timeout: seconds(0), ..spec() }));
    assert_eq!(message, "job.attempt_timeout: is 0 s: allowed is 1 ms to 10 years");
    let message = violation(read(v1::JobSpec { timeout: seconds(315_360_001), ..spec() }));
    assert_eq!(message, "job.timeout: is 315360001 s: allowed is 1 ms to 10 years");
    let message = violation(read(v1::JobSpec { retention: seconds(-1), ..spec() }));
    assert_eq!(message, "job.retention: is -1 s: allowed is 0 to 10 years");
}

#[test]
fn retry_policies_have_bounds() {
    let violation = |retry| violation(read(with_retry(retry)));
    let message = violation(v1::RetryPolicy { max_attempts: 101, ..retry() });
    assert_eq!(message, "job.retry.max_attempts: is 101, the limit is 100");
    let message = violation(v1::RetryPolicy { max_lost_attempts: 101, ..retry() });
    assert_eq!(message, "job.retry.max_lost_attempts: is 101, the limit is 100");
    for multiplier in [0.5, -1.0, 100.5, f64::NAN, f64::INFINITY] {
        let message = violation(v1::RetryPolicy { multiplier, ..retry() });
        assert_eq!(message, format!("job.retry.multiplier: is {multiplier}: allowed is 1 to 100"));
    }
    for jitter in [-0.1, 1.1, f64::NAN] {
        let message = violation(v1::RetryPolicy { jitter: Some(jitter), ..retry() });
        assert_eq!(message, format!("job.retry.jitter: is {jitter}: allowed is 0 to 1"));
    }
    let message = violation(v1::RetryPolicy { initial_backoff: seconds(-1), ..retry() });
    assert_eq!(message, "job.retry.initial_backoff: is -1 s: allowed is 0 to 10 years");
    let message = violation(v1::RetryPolicy { max_backoff: seconds(315_360_001), ..retry() });
    assert_eq!(message, "job.retry.max_backoff: is 315360001 s: allowed is 0 to 10 years");
}

#[test]
fn max_backoff_is_not_below_initial_backoff() {
    let both = v1::RetryPolicy { initial_backoff: seconds(10), max_backoff: seconds(9), ..retry() };
    let message = violation(read(with_retry(both)));
    assert_eq!(message, "job.retry.max_backoff: is 9 s, less than initial_backoff (10 s): raise it to that");
    let one = v1::RetryPolicy { initial_backoff: seconds(7200), ..retry() };
    let message = violation(read(with_retry(one)));
    assert!(message.starts_with("job.retry.max_backoff: is 3600 s by default, less"), "{message}");
    let same = v1::RetryPolicy { initial_backoff: seconds(10), max_backoff: seconds(10), ..retry() };
    assert!(read(with_retry(same)).is_ok());
}

#[test]
fn labels_and_headers_have_bounds() {
    let labels = |key: &str, value: &str| v1::JobSpec {
        labels: [(key.to_owned(), value.to_owned())].into(),
        ..spec()
    };
    assert!(read(labels(&"k".repeat(64), &"v".repeat(256))).is_ok());
    assert_eq!(violation(read(labels("", ""))), "job.labels[\"\"]: the key has 0 bytes: allowed is 1 to 64");
    let message = violation(read(labels(&"k".repeat(65), "")));
    assert!(message.ends_with(": the key has 65 bytes: allowed is 1 to 64"), "{message}");
    let message = violation(read(labels("env", &"v".repeat(257))));
    assert_eq!(message, "job.labels[\"env\"]: the value has 257 bytes, the limit is 256");
    assert_eq!(violation(read(labels("a\n", ""))), "job.labels[\"a\\n\"]: the key has a control character");
    let message = violation(read(labels("env", "\u{1b}[0m")));
    assert_eq!(message, "job.labels[\"env\"]: the value \"\\u{1b}[0m\" has a control character");

    let headers = [("env".to_owned(), "\0".to_owned())].into();
    assert!(
        violation(read(v1::JobSpec { headers, ..spec() })).starts_with("job.headers[\"env\"]: the value")
    );
}

#[test]
fn too_many_entries_are_one_violation() {
    let entries = |count: u32| (0..count).map(|n| (n.to_string(), "\0".to_owned())).collect();
    let error = read(v1::JobSpec { labels: entries(2000), headers: entries(17), ..spec() }).unwrap_err();
    assert_eq!(fields(&error), ["job.labels", "job.headers"]);
    assert!(error.message().starts_with("job.labels: has 2000 entries, the limit is 16"), "{error}");
}

#[test]
fn every_violation_has_the_path_of_the_spec() {
    let flawed =
        v1::JobSpec { priority: 101, timeout: seconds(0), job_id: "x".to_owned(), ..Default::default() };
    let limits = 1 << 20;
    let error = new_job(flawed, format_args!("jobs[{}]", 3), PayloadSource::Shared, limits).unwrap_err();
    assert_eq!(fields(&error), ["jobs[3].job_id", "jobs[3].kind", "jobs[3].priority", "jobs[3].timeout"]);
}

#[test]
fn a_too_large_payload_is_reported_alone() {
    let payload =
        v1::Payload { body: Some(v1::payload::Body::Text("fives".to_owned())), ..Default::default() };
    let flawed = v1::JobSpec { payload: Some(payload), priority: 101, ..spec() };
    let limits = 4;
    let error = new_job(flawed, "jobs[3]", PayloadSource::Shared, limits).unwrap_err();
    let expected = ErrorKind::PayloadTooLarge { field: "jobs[3].payload".to_owned(), size: 5, limit: 4 };
    assert_eq!(error.kind(), &expected);
    assert!(error.message().starts_with("jobs[3].payload has 5 bytes, the limit is 4"), "{error}");
}

fn any_duration() -> impl Strategy<Value = Option<prost_types::Duration>> {
    let seconds = prop_oneof![any::<i64>(), -2..100_i64];
    let nanos = prop_oneof![any::<i32>(), 0..2_000_000_i32];
    prop::option::of((seconds, nanos).prop_map(|(seconds, nanos)| prost_types::Duration { seconds, nanos }))
}

fn any_retry() -> impl Strategy<Value = v1::RetryPolicy> {
    let number = || prop_oneof![any::<f64>(), 0.0..3.0];
    let parts =
        (0..120_u32, any_duration(), number(), any_duration(), prop::option::of(number()), 0..120_u32);
    parts.prop_map(|parts| v1::RetryPolicy {
        max_attempts: parts.0,
        initial_backoff: parts.1,
        multiplier: parts.2,
        max_backoff: parts.3,
        jitter: parts.4,
        max_lost_attempts: parts.5,
    })
}

fn any_start() -> impl Strategy<Value = Option<job_spec::Start>> {
    let time = (any::<i64>(), any::<i32>()).prop_map(|(seconds, nanos)| {
        Some(job_spec::Start::StartTime(prost_types::Timestamp { seconds, nanos }))
    });
    prop_oneof![time, any_duration().prop_map(|delay| delay.map(job_spec::Start::StartDelay))]
}

fn any_spec() -> impl Strategy<Value = v1::JobSpec> {
    let name = || prop_oneof!["[a-z:]{0,3}", ".{0,2}", "[a-z]{120,140}"];
    let map = || prop::collection::hash_map(".{0,70}", ".{0,3}", 0..18);
    let names = (prop_oneof![Just(String::new()), Just(ID.to_owned()), name()], name(), name());
    let spans = (any_duration(), any_duration(), any_duration());
    let rest = (
        prop::option::of(any_retry()),
        any_start(),
        map(),
        map(),
        -110..110_i32,
        prop::option::of(any_trace()),
    );
    (names, spans, rest).prop_map(|((job_id, kind, queue), spans, rest)| v1::JobSpec {
        job_id,
        kind,
        queue,
        payload: None,
        priority: rest.4,
        attempt_timeout: spans.0,
        timeout: spans.1,
        retention: spans.2,
        retry: rest.0,
        start: rest.1,
        labels: rest.2,
        headers: rest.3,
        trace_context: rest.5,
    })
}

fn any_trace() -> impl Strategy<Value = v1::TraceContext> {
    let parent = prop_oneof!["[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", ".{0,80}"];
    (parent, ".{0,200}", ".{0,1500}").prop_map(|(traceparent, tracestate, baggage)| v1::TraceContext {
        traceparent,
        tracestate,
        baggage,
    })
}

proptest! {
    #[test]
    fn any_spec_is_parsed_or_refused_with_its_violations(spec in any_spec()) {
        match read(spec) {
            Ok(job) => prop_assert!(job.options.is_none_or(|options| *options != JobOptions::default())),
            Err(error) => {
                let fields = fields(&error);
                prop_assert!(!fields.is_empty() && fields.iter().all(|field| field.starts_with("job.")));
                let status = crate::proto::status::to_status(&error, "boot");
                prop_assert!(status.details().len() < 3072);
            }
        }
    }
}
