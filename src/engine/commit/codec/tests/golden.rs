//! The bytes of one record of each sort. They may not change: logs that were written hold them.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{bytes_of, hex, now};
use crate::core::{Accepted, Cancel, Gap, IdSecret, Instance, Link, Record, Removed, Running, StateChanged};
use crate::engine::commit::codec::{Entry, Part, decode};
use crate::job::{
    Cancellation, Event, EventBody, Failure, FailureReason, JobId, JobOptions, JobState, Kind, LeaseId, Log,
    LogLevel, LogStream, NewJob, Outcome, Output, Payload, Progress, QueueName, RetryPolicy, SpecDigest,
    Start, StateChange, Timestamp, TraceContext, WaitReason,
};

fn id(last: u8) -> JobId {
    JobId::from_bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, last])
}

fn pairs(key: &str, value: &str) -> std::collections::BTreeMap<String, String> {
    [(key.to_owned(), value.to_owned())].into()
}

fn accepted() -> Record {
    let options = JobOptions {
        start: Start::After(Duration::from_millis(1500)),
        attempt_timeout: Some(Duration::from_secs(1)),
        timeout: Some(Duration::MAX),
        retry: RetryPolicy { max_attempts: 4, ..RetryPolicy::default() },
        retention: Some(Duration::from_secs(2)),
        labels: pairs("l", "a"),
        headers: pairs("h", "b"),
        origin: Some(id(17)),
        trace: None,
    };
    let job = NewJob {
        id: Some(id(16)),
        kind: Kind::parse("kind", "k").unwrap(),
        queue: QueueName::parse("queue", "q").unwrap(),
        payload: Payload::json_text("{}").with_content_type("a/b"),
        priority: -3,
        options: Some(Arc::new(options)),
    };
    Record::Accepted(Accepted {
        id: id(16),
        job,
        number: 300,
        create_time: Timestamp::from_micros(5),
        created: Duration::from_nanos(6),
        first_wait: Some(WaitReason::NotDue),
        deadline: Duration::from_secs(7),
        owner: None,
    })
}

fn accepted_of_an_owner() -> Record {
    let Record::Accepted(accepted) = accepted() else { unreachable!() };
    let job = NewJob { options: None, ..accepted.job };
    Record::Accepted(Accepted { job, owner: Some("billing".into()), ..accepted })
}

fn accepted_in_a_trace() -> Record {
    let Record::Accepted(mut accepted) = accepted() else { unreachable!() };
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let trace = TraceContext::parse("", parent, "a=1", "b=2").unwrap();
    accepted.job.options = Some(Arc::new(JobOptions { trace: Some(trace.into()), ..JobOptions::default() }));
    Record::Accepted(accepted)
}

fn change(state: JobState) -> StateChange {
    StateChange {
        state,
        wait_reason: None,
        failure: None,
        next_attempt_time: None,
        outcome: None,
        cancel_requested: false,
        principal: None,
    }
}

/// A removal as a version before wrote it.
fn removed(expire_time: Option<Timestamp>) -> Removed {
    let deleted = expire_time.is_none();
    Removed { id: id(16), expire_time, removed: now().monotonic, end: None, deleted }
}

fn event(body: EventBody) -> Event {
    Event { sequence: 2, time: Timestamp::from_micros(-1), attempt: 1, body }
}

fn changed(change: StateChange, running: Option<Running>) -> Record {
    let ends = change.outcome.is_some();
    Record::StateChanged(StateChanged {
        id: id(16),
        event: event(EventBody::State(change)),
        lost: 1,
        released: 2,
        cancel_requested: running.is_some(),
        deadline: if ends { Duration::from_secs(8) } else { Duration::MAX },
        expire_time: ends.then_some(Timestamp::from_micros(9)),
        running,
    })
}

fn begun() -> Record {
    let running = Running {
        lease: LeaseId::from_u128(0xabcd << 64 | 3),
        link: Link::Stream(Uuid::from_u128(4)),
        worker: "w".into(),
        principal: None,
        attempt_deadline: Duration::from_secs(5),
        cancel: Some(Cancel { force_at: Duration::from_secs(6), reason: "why".to_owned(), principal: None }),
    };
    changed(StateChange { cancel_requested: true, ..change(JobState::Running) }, Some(running))
}

fn begun_by(principal: &str) -> Record {
    let Record::StateChanged(mut changed) = begun() else { unreachable!() };
    if let Some(running) = &mut changed.running {
        running.principal = Some(principal.into());
        running.cancel.as_mut().expect("it is cancelled").principal = Some("ops".into());
    }
    if let EventBody::State(change) = &mut changed.event.body {
        change.principal = Some("ops".into());
    }
    Record::StateChanged(changed)
}

fn reports_taken(principal: Option<&str>) -> Record {
    Record::ReportsTaken(Instance { id: Uuid::from_u128(4), principal: principal.map(Into::into) }, 300)
}

fn failed() -> Record {
    let details = Some(Payload::data("d"));
    let failure = Failure { details, attempt: 1, ..Failure::new(FailureReason::Panic, "m") };
    let failure = Arc::new(Failure { error_type: "T".to_owned(), ..failure });
    let change = StateChange {
        wait_reason: Some(WaitReason::BackOff),
        failure: Some(failure.clone()),
        next_attempt_time: Some(Timestamp::from_micros(3)),
        outcome: Some(Outcome::Failure(failure)),
        ..change(JobState::Failed)
    };
    changed(change, None)
}

fn ended(outcome: Outcome) -> Record {
    changed(StateChange { outcome: Some(outcome.clone()), ..change(outcome.state()) }, None)
}

fn progress() -> EventBody {
    let (unit, message) = ("u".to_owned(), "m".to_owned());
    EventBody::Progress(Arc::new(Progress {
        fraction: Some(0.5),
        done: Some(0.0),
        total: None,
        unit,
        message,
    }))
}

fn digits(parts: &[&str]) -> String {
    parts.concat().chars().filter(char::is_ascii_hexdigit).collect()
}

#[test]
fn the_bytes_of_every_record_stay_as_they_are() {
    let cancellation = |principal: Option<&str>| {
        let (reason, principal) = ("r".to_owned(), principal.map(Into::into));
        Outcome::Cancellation(Arc::new(Cancellation { reason, principal, forced: true }))
    };
    let output = EventBody::Output(Output { payload: Payload::text("t"), channel: "c".into() });
    let log = Log { level: LogLevel::Warn, text: "x".into(), stream: LogStream::Stderr };
    let end = Some((JobState::Succeeded, SpecDigest::from_u128(0xabcd << 64 | 3)));
    let removed_at = Duration::from_secs(7);
    let expired = removed(Some(Timestamp::from_micros(9)));
    let tombstone = Removed { removed: removed_at, end, deleted: true, ..expired };
    let all = [
        (accepted(), ACCEPTED),
        (accepted_of_an_owner(), ACCEPTED_OF_AN_OWNER),
        (accepted_in_a_trace(), ACCEPTED_IN_A_TRACE),
        (begun(), BEGUN),
        (begun_by("billing"), BEGUN_BY_A_PRINCIPAL),
        (failed(), FAILED),
        (ended(Outcome::Result(Payload::text("t"))), SUCCEEDED),
        (ended(cancellation(None)), CANCELLED),
        (ended(cancellation(Some("ops"))), CANCELLED_BY_A_PRINCIPAL),
        (Record::Reported(id(16), event(progress())), PROGRESS),
        (Record::Reported(id(16), event(output)), OUTPUT),
        (Record::Reported(id(16), event(EventBody::Log(log))), LOG),
        (Record::Removed(expired), REMOVED),
        (Record::Removed(tombstone), TOMBSTONE),
        (Record::QueuePaused("q".into(), true), QUEUE_PAUSED),
        (Record::CancelDeadline(id(16), Duration::from_millis(2500)), CANCEL_DEADLINE),
        (reports_taken(None), REPORTS_TAKEN),
        (reports_taken(Some("billing")), REPORTS_TAKEN_OF_A_PRINCIPAL),
        (Record::Offered(id(16), 300), OFFERED),
        (Record::Dropped(id(16), [Gap { state_changes: 1, from: 2, to: 300 }].into()), DROPPED),
        (Record::Secret(IdSecret::from_u128(0xabcd << 64 | 3)), SECRET),
        (Record::Resumed(Duration::from_millis(2500)), RESUMED),
    ];
    for (record, expected) in all {
        let bytes = bytes_of(std::slice::from_ref(&record));
        assert_eq!(hex(&bytes), digits(&[NOW, expected]), "{record:?}");
        assert_eq!(
            decode(&bytes).unwrap(),
            Entry { now: now(), part: Part::default(), records: vec![record] }
        );
    }
}

/// A job that began at once, and what became of it later.
#[test]
fn what_an_entry_or_the_record_before_says_is_left_out() {
    let (now, hour) = (now(), Duration::from_secs(3600));
    let Record::Accepted(mut first) = accepted() else { unreachable!() };
    (first.create_time, first.created, first.job.options) = (now.wall, now.monotonic, None);
    let at_once = |record| {
        let Record::StateChanged(mut changed) = record else { unreachable!() };
        changed.event.time = now.wall;
        changed
    };
    let mut end = at_once(ended(Outcome::Result(Payload::text("t"))));
    (end.deadline, end.expire_time) = (now.monotonic + hour, Some(now.wall.plus(hour)));
    let records = vec![
        Record::Accepted(first),
        Record::StateChanged(at_once(begun())),
        Record::StateChanged(end.clone()),
        Record::Removed(removed(None)),
        Record::Reported(id(17), event(progress())),
    ];
    let bytes = bytes_of(&records);
    assert_eq!(hex(&bytes), digits(&[NOW, TOGETHER]));
    assert_eq!(decode(&bytes).unwrap(), Entry { now, part: Part::default(), records });
    // If the clocks disagree, both times are written.
    end.deadline += Duration::from_nanos(1);
    let records = vec![Record::StateChanged(end)];
    assert_eq!(decode(&bytes_of(&records)).unwrap().records, records);
}

const NOW: &str = "0a040846 10051100 40204648 470600";
const ACCEPTED: &str = "
    1ac7010a c4010a12 09080706 05040302 0111100f 0e0d0c0b 0a091297 010a1209 08070605 04030201 11100f0e
    0d0c0b0a 0912016b 1a017122 0b0a027b 7d10021a 03612f62 2805326c 0a0a1208 08011080 cab5ee01 12020801
    1a1108ff ffffffff ffffffff 0110ff93 ebdc0322 1f080412 02080119 00000000 00000040 22030890 1c299a99
    99999999 c93f3003 2a020802 32060a01 6c120161 3a060a01 68120162 42120908 07060504 03020111 110f0e0d
    0c0b0a09 18ac0221 05000000 00000000 2a021006 30013a02 0807
";
const ACCEPTED_OF_AN_OWNER: &str = "
    1a600a5e 0a120908 07060504 03020111 100f0e0d 0c0b0a09 12290a12 09080706 05040302 0111100f 0e0d0c0b 0a091201
    6b1a0171 220b0a02 7b7d1002 1a03612f 62280518 ac022105 00000000 0000002a 02100630 013a0208 07420762 696c6c69
    6e67
";
const ACCEPTED_IN_A_TRACE: &str = "
    1ac1010a be010a12 09080706 05040302 0111100f 0e0d0c0b 0a091291 010a1209 08070605 04030201 11100f0e 0d0c0b0a
    0912016b 1a017122 0b0a027b 7d10021a 03612f62 28053266 221f0801 12020801 19000000 00000000 40220308 901c299a
    99999999 99c93f30 034a430a 3730302d 34626639 32663335 37376233 34646136 61336365 39323964 30653065 34373336
    2d303066 30363761 61306261 39303262 372d3031 1203613d 311a0362 3d3218ac 02210500 00000000 00002a02 10063001
    3a020807
";
const BEGUN: &str = "
    1a661264 0a120908 07060504 03020111 100f0e0d 0c0b0a09 12130802 11ffffff ffffffff ff180122 04080330
    01180120 02280142 330a1209 cdab0000 00000000 11030000 00000000 0010021a 09110400 00000000 00002201
    772a0208 0532090a 02080612 03776879
";
const BEGUN_BY_A_PRINCIPAL: &str = "
    1a791277 0a120908 07060504 03020111 100f0e0d 0c0b0a09 12180802 11ffffff ffffffff ff180122 09080330 013a036f
    70731801 20022801 42410a12 09cdab00 00000000 00110300 00000000 00001002 1a091104 00000000 00000022 01772a02
    0805320e 0a020806 12037768 791a036f 70733a07 62696c6c 696e67
";
const FAILED: &str = "
    1a6d126b 0a120908 07060504 03020111 100f0e0d 0c0b0a09 12440802 11ffffff ffffffff ff180122 35080510
    021a1108 02120154 1a016d22 030a0164 28013001 21030000 00000000 002a1312 11080212 01541a01 6d22030a
    01642801 30011801 20023202 08083909 00000000 000000
";
const SUCCEEDED: &str = "
    1a431241 0a120908 07060504 03020111 100f0e0d 0c0b0a09 121a0802 11ffffff ffffffff ff180122 0b08042a
    070a050a 01741001 18012002 32020808 39090000 00000000 00
";
const CANCELLED: &str = "
    1a431241 0a120908 07060504 03020111 100f0e0d 0c0b0a09 121a0802 11ffffff ffffffff ff180122 0b08062a
    071a050a 01721001 18012002 32020808 39090000 00000000 00
";
const CANCELLED_BY_A_PRINCIPAL: &str = "
    1a481246 0a120908 07060504 03020111 100f0e0d 0c0b0a09 121f0802 11ffffff ffffffff ff180122 1008062a 0c1a0a0a
    01721001 1a036f70 73180120 02320208 08390900 00000000 0000
";
const PROGRESS: &str = "
    1a3f1a3d 0a120908 07060504 03020111 100f0e0d 0c0b0a09 12270802 11ffffff ffffffff ff18012a 18090000
    00000000 e03f1100 00000000 00000022 01752a01 6d
";
const OUTPUT: &str = "
    1a311a2f 0a120908 07060504 03020111 100f0e0d 0c0b0a09 12190802 11ffffff ffffffff ff180132 0a0a050a
    01741001 120163
";
const LOG: &str = "
    1a2e1a2c 0a120908 07060504 03020111 100f0e0d 0c0b0a09 12160802 11ffffff ffffffff ff18013a 07080312
    01781802
";
const REMOVED: &str = "1a1f221d 0a120908 07060504 03020111 100f0e0d 0c0b0a09 11090000 00000000 00";
const TOMBSTONE: &str = "
    1a3b2239 0a120908 07060504 03020111 100f0e0d 0c0b0a09 11090000 00000000 001a0208 0720042a 1209cdab
    00000000 00001103 00000000 00000030 01
";
const RESUMED: &str = "1a0a5208 080210 80cab5ee 01";
const SECRET: &str = "1a144a12 09cdab00 00000000 00110300 00000000 0000";
const QUEUE_PAUSED: &str = "1a072a05 0a017110 01";
const CANCEL_DEADLINE: &str = "1a20321e 0a120908 07060504 03020111 100f0e0d 0c0b0a09 12080802 1080cab5 ee01";
const REPORTS_TAKEN: &str = "1a103a0e 0a091104 00000000 00000010 ac02";
const REPORTS_TAKEN_OF_A_PRINCIPAL: &str = "1a193a17 0a091104 00000000 00000010 ac021a07 62696c6c 696e67";
const OFFERED: &str = "1a196217 0a120908 07060504 03020111 100f0e0d 0c0b0a09 10ac02";
const DROPPED: &str = "1a1c421a 0a120908 07060504 03020111 100f0e0d 0c0b0a09 12040102 ac02";
const TOGETHER: &str = "
    1a4a0a48 0a120908 07060504 03020111 100f0e0d 0c0b0a09 12290a12 09080706 05040302 0111100f 0e0d0c0b 0a091201
    6b1a0171 220b0a02 7b7d1002 1a03612f 62280518 ac023001 3a020807 1a491247 120a0802 18012204 08033001 18012002
    28014233 0a1209cd ab000000 00000011 03000000 00000000 10021a09 11040000 00000000 00220177 2a020805 32090a02
    08061203 7768791a 1f121d12 11080218 01220b08 042a070a 050a0174 10011801 20024880 c8ceb40d 1a022200 1a3f1a3d
    0a120908 07060504 03020111 110f0e0d 0c0b0a09 12270802 11ffffff ffffffff ff18012a 18090000 00000000 e03f1100
    00000000 00000022 01752a01 6d
";
