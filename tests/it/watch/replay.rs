//! The events of a watch: in order, without repetition, from any sequence.

use jobstream::proto::v1;
use jobstream::proto::v1::job_event::Event;
use jobstream::proto::v1::{EventType, JobState};
use tonic::Code;

use crate::support::{
    Chatter, TestServer, Watched, echo, event_state, job, json_of, refused, wait_for, watch_request,
};

/// Returns a job with events of all types that waits at the gate.
fn job_with_all_events() -> v1::JobSpec {
    let chatter = Chatter { progress: 3, outputs: 20, output_bytes: 100, logs: 20, waits: true };
    v1::JobSpec { payload: Some(json_of(chatter)), ..job("test.chatter") }
}

fn without_progress(events: &[v1::JobEvent]) -> Vec<v1::JobEvent> {
    events.iter().filter(|event| !matches!(event.event, Some(Event::Progress(_)))).cloned().collect()
}

/// Runs a job with events of all types. Returns its id and a complete watch.
async fn run_job_with_all_events(server: &TestServer) -> (String, Watched) {
    let id = server.submit(job_with_all_events()).await;
    server.gate.arrival().await;
    server.gate.open(1);
    server.end(&id).await.result();
    let watched = server.watch_all(&id, 0).await;
    watched.outcome();
    (id, watched)
}

#[tokio::test]
async fn an_instant_job_is_queued_running_and_succeeded() {
    let server = TestServer::start().await;
    let id = server.submit(echo("hi")).await;
    let watched = server.watch_all(&id, 0).await;
    watched.outcome();
    assert_eq!(watched.states(), [JobState::Queued, JobState::Running, JobState::Succeeded]);
    assert_eq!(watched.sequences(), [1, 2, 3]);
    assert_eq!(watched.events.iter().map(|event| event.attempt).collect::<Vec<_>>(), [0, 1, 1]);
}

#[tokio::test]
async fn a_watch_opened_before_during_or_after_the_run_reads_the_same() {
    let server = TestServer::start().await;
    server.pause("default").await;
    let id = server.submit(job_with_all_events()).await;
    let mut before = server.watch(watch_request(&id, 0)).await;
    before.step().await;
    server.resume("default").await;
    server.gate.arrival().await;
    let during = server.watch(watch_request(&id, 0)).await;
    let mut on_another_connection = Watched::open(&mut server.new_jobs().await, watch_request(&id, 0)).await;
    on_another_connection.read_to(JobState::Running).await;
    server.gate.open(1);
    let (before, during, other) =
        (before.rest().await, during.rest().await, on_another_connection.rest().await);
    let after = server.watch_all(&id, 0).await;
    after.outcome();
    assert_eq!(after.events.len(), 3 + 1 + 20 + 20, "{:?}", after.sequences());
    for watched in [&before, &during, &other] {
        watched.outcome();
        assert_eq!(without_progress(&watched.events), without_progress(&after.events));
        assert!(watched.gaps.is_empty());
    }
    // The newest progress is retained.
    assert_eq!(during.events, after.events);
}

#[tokio::test]
async fn a_watch_resumed_after_any_sequence_returns_the_rest() {
    let server = TestServer::start().await;
    let (id, whole) = run_job_with_all_events(&server).await;
    let last = *whole.sequences().last().unwrap();
    for after in 0..=last {
        let resumed = server.watch_all(&id, after).await;
        let rest: Vec<_> = whole.events.iter().filter(|event| event.sequence > after).cloned().collect();
        assert_eq!(resumed.events, rest, "after {after}");
        assert!(matches!(resumed.ended, Some(Ok(()))) && resumed.gaps.is_empty(), "after {after}");
    }
}

#[tokio::test]
async fn a_watch_resumed_during_the_run_has_no_gap_or_repetition() {
    let server = TestServer::start().await;
    let id = server.submit(job_with_all_events()).await;
    let mut seen: Vec<v1::JobEvent> = Vec::new();
    let mut opened_gate = false;
    loop {
        let after = seen.last().map_or(0, |event| event.sequence);
        let mut watched = server.watch(watch_request(&id, after)).await;
        watched.step().await;
        watched.step().await;
        seen.append(&mut watched.events);
        if seen.last().is_some_and(|event| event_state(event) == Some(JobState::Succeeded)) {
            break;
        }
        if !opened_gate && seen.len() > 20 {
            server.gate.open(1);
            opened_gate = true;
        }
    }
    assert_eq!(without_progress(&seen), without_progress(&server.watch_all(&id, 0).await.events));
}

#[tokio::test]
async fn a_filter_selects_types_and_the_final_event() {
    let server = TestServer::start().await;
    let (id, whole) = run_job_with_all_events(&server).await;
    let is_of = |event: &v1::JobEvent, wanted: EventType| match &event.event {
        Some(Event::StateChange(_)) => wanted == EventType::StateChange,
        Some(Event::Progress(_)) => wanted == EventType::Progress,
        Some(Event::Output(_)) => wanted == EventType::Output,
        Some(Event::Log(_)) => wanted == EventType::Log,
        None => false,
    };
    let types = [EventType::StateChange, EventType::Progress, EventType::Output, EventType::Log];
    for (types, expected) in [
        (vec![types[0]], 3),
        (vec![types[1]], 2),
        (vec![types[2]], 21),
        (vec![types[3]], 21),
        (vec![types[0], types[1]], 4),
        (vec![types[2], types[3], types[2]], 41),
    ] {
        let wire = types.iter().map(|one| (*one).into()).collect();
        let request = v1::WatchResultRequest { types: wire, ..watch_request(&id, 0) };
        let watched = server.watch(request).await.rest().await;
        watched.outcome();
        let last = whole.events.len() - 1;
        let wanted = whole
            .events
            .iter()
            .enumerate()
            .filter(|(index, event)| *index == last || types.iter().any(|one| is_of(event, *one)));
        assert_eq!(watched.events, wanted.map(|(_, event)| event.clone()).collect::<Vec<_>>(), "{types:?}");
        assert_eq!(watched.events.len(), expected, "{types:?}");
    }
}

#[tokio::test]
async fn unknown_types_are_rejected() {
    let server = TestServer::start().await;
    let id = server.submit(echo("hi")).await;
    for unknown in [0, 5, -1] {
        let request = v1::WatchResultRequest { types: vec![1, unknown], ..watch_request(&id, 0) };
        let watched = server.watch(request).await;
        let details = refused(watched.status(), Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "types[1]");
    }
}

#[tokio::test]
async fn output_dropped_from_the_ring_is_one_gap() {
    let server = TestServer::with(|setup| setup.engine.core.event_ring_bytes_max = 8 * 1024).await;
    let chatter = Chatter { outputs: 100, output_bytes: 1_000, logs: 2, ..Chatter::default() };
    let spec = v1::JobSpec { payload: Some(json_of(chatter)), ..job("test.chatter") };
    let ended = server.run_to_end(spec).await;
    let watched = server.watch_all(&ended.id, 0).await;
    watched.outcome();
    let [gap] = &watched.gaps[..] else { panic!("not one gap: {:?}", watched.gaps) };
    // Sequences 1 and 2 are the first states; outputs are 3 to 102, logs 103 and 104.
    let retained: Vec<_> =
        watched.sequences().into_iter().filter(|sequence| (3..=102).contains(sequence)).collect();
    assert_eq!((gap.first, gap.last + 1), (3, retained[0]));
    assert_eq!(retained, (retained[0]..=102).collect::<Vec<_>>());
    assert!((4..=8).contains(&retained.len()), "{} chunks retained", retained.len());

    let resumed = server.watch_all(&ended.id, gap.last).await;
    assert!(resumed.gaps.is_empty(), "no event is dropped after {}: {:?}", gap.last, resumed.gaps);
    let inside = server.watch_all(&ended.id, 50).await;
    assert_eq!(inside.gaps, [v1::Gap { first: 51, last: gap.last }]);
    let states = v1::WatchResultRequest { types: vec![1], ..watch_request(&ended.id, 0) };
    assert!(server.watch(states).await.rest().await.gaps.is_empty(), "the filter excludes output");
}

#[tokio::test]
async fn a_sequence_beyond_the_last_one_is_rejected() {
    let server = TestServer::start().await;
    let ended = server.run_to_end(echo("hi")).await;
    for after in [ended.sequence + 1, u32::MAX] {
        let watched = server.watch(watch_request(&ended.id, after)).await;
        let details = refused(watched.status(), Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "after_sequence");
    }
}

#[tokio::test]
async fn run_returns_the_submission_and_then_all_events() {
    let server = TestServer::start().await;
    let request = v1::RunRequest { job: Some(echo("hi")), ..Default::default() };
    let stream = wait_for("Run begins", server.jobs().run(request)).await.unwrap().into_inner();
    let messages: Vec<_> = wait_for("Run ends", tokio_stream::StreamExt::collect(stream)).await;
    let messages: Vec<v1::RunResponse> = messages.into_iter().collect::<Result<_, _>>().unwrap();
    let messages: Vec<_> = messages.into_iter().map(|message| message.message.unwrap()).collect();
    let v1::run_response::Message::Submitted(answer) = &messages[0] else { panic!("{messages:?}") };
    let events = messages[1..].iter().map(|message| match message {
        v1::run_response::Message::Event(event) => event.clone(),
        other => panic!("not an event: {other:?}"),
    });
    assert_eq!(events.collect::<Vec<_>>(), server.watch_all(&answer.job_id, 0).await.events);
}
