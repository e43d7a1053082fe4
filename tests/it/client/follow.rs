//! Watches: every event once and in order across disconnects.

use std::time::Duration;

use jobstream::client::{ErrorKind, WatchItem, WatchOptions};
use jobstream::job::{EventBody, EventTypes, JobId, JobState};
use serde_json::{Value, json};

use super::{Fixture, event, read_to, sequences, state_of};
use crate::support::{Chatter, wait_for};

const CUTS: usize = 25;
/// The number is high enough for all disconnects to happen during the run.
const CHUNKS: u32 = 400;

fn with_heartbeat(heartbeat: Duration) -> WatchOptions {
    let mut options = WatchOptions::default();
    options.heartbeat = heartbeat;
    options
}

#[tokio::test]
async fn a_watch_returns_every_event_once_across_disconnects() {
    let fixture = Fixture::start().await;
    let input = json!({"chunks": CHUNKS, "interval_seconds": 0.004});
    let job = fixture.client.job("demo.stream").json(&input).unwrap().submit::<Value>().await.unwrap();
    let mut watch = job.watch();
    let mut events = Vec::new();
    let mut cuts = 0;
    let mut until_cut = 0_u32;
    while !events.last().and_then(state_of).is_some_and(JobState::is_final) {
        // Waits until the last interrupted stream has resumed.
        if until_cut == 0 && cuts < CUTS && fixture.proxy.opened() == cuts + 1 {
            fixture.proxy.cut();
            cuts += 1;
            until_cut = rand::random_range(1..6);
        }
        until_cut = until_cut.saturating_sub(1);
        events.push(event(&mut watch).await);
    }
    assert!(watch.next().await.is_none());
    let last = events.len() as u32;
    assert_eq!(sequences(&events), (1..=last).collect::<Vec<_>>());
    assert_eq!(watch.last_sequence(), last);
    let chunks = events.iter().filter_map(|event| match &event.body {
        EventBody::Output(output) => Some(output.payload.bytes.clone()),
        _ => None,
    });
    let expected = (1..=CHUNKS).map(|number| format!("chunk {number} of {CHUNKS}\n"));
    assert!(chunks.eq(expected));
    assert_eq!((cuts, fixture.proxy.opened()), (CUTS, CUTS + 1));
}

#[tokio::test]
async fn a_silent_stream_is_resumed_on_another_connection() {
    let fixture = Fixture::start().await;
    let job = fixture.client.job("test.gate").submit::<Value>().await.unwrap();
    let mut watch = job.watch_with(with_heartbeat(Duration::from_secs(1)));
    let before = read_to(&mut watch, JobState::Running).await;
    fixture.proxy.stall();
    let rest = tokio::spawn(async move { read_to(&mut watch, JobState::Succeeded).await });
    // Only the missing heartbeats reveal the dead connection.
    fixture.proxy.connections(2).await;
    fixture.server.gate.open(1);
    fixture.proxy.resume();
    let rest = wait_for("the end of the job", rest).await.unwrap();
    let sequences_read = sequences(&[before, rest].concat());
    assert_eq!(sequences_read, (1..=sequences_read.len() as u32).collect::<Vec<_>>());
}

#[tokio::test]
async fn heartbeats_keep_an_idle_stream_open() {
    let fixture = Fixture::start().await;
    let job = fixture.client.job("test.gate").submit::<Value>().await.unwrap();
    let mut watch = job.watch_with(with_heartbeat(Duration::from_secs(1)));
    read_to(&mut watch, JobState::Running).await;
    let silence = tokio::time::timeout(Duration::from_millis(3_500), watch.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    assert_eq!(fixture.proxy.opened(), 1);
    fixture.server.gate.open(1);
    read_to(&mut watch, JobState::Succeeded).await;
}

#[tokio::test]
async fn events_dropped_from_the_ring_are_one_gap() {
    let fixture = Fixture::start().await;
    let input = Chatter { outputs: 100, output_bytes: 8 * 1024, ..Chatter::default() };
    let job = fixture.client.job("test.chatter").json(&input).unwrap().submit::<u32>().await.unwrap();
    assert_eq!(job.result().await.unwrap(), 100);
    let mut watch = job.watch();
    let (mut next, mut gaps) = (1, 0);
    while let Some(item) = wait_for("an item", watch.next()).await {
        let (first, last) = match item.unwrap() {
            WatchItem::Event(event) => (event.sequence, event.sequence),
            WatchItem::Gap { first, last } => (first, last),
        };
        assert_eq!(first, next);
        gaps += u32::from(last > first);
        next = last + 1;
    }
    assert_eq!(gaps, 1);
}

#[tokio::test]
async fn a_filtered_watch_always_has_the_final_event() {
    let fixture = Fixture::start().await;
    let input = Chatter { outputs: 3, logs: 2, ..Chatter::default() };
    let job = fixture.client.job("test.chatter").json(&input).unwrap().submit::<u32>().await.unwrap();
    job.result().await.unwrap();
    let mut all = job.watch();
    let all = read_to(&mut all, JobState::Succeeded).await;
    let mut options = WatchOptions::default();
    options.types = EventTypes::NONE;
    let mut end = job.watch_with(options);
    assert_eq!(event(&mut end).await, *all.last().unwrap());
    assert!(end.next().await.is_none());
    options.types = EventTypes { output: true, ..EventTypes::NONE };
    options.after_sequence = 3;
    let mut late = job.watch_with(options);
    let late = read_to(&mut late, JobState::Succeeded).await;
    let expected: Vec<_> = all
        .iter()
        .filter(|event| event.sequence > 3)
        .filter(|event| matches!(event.body, EventBody::Output(_)) || event.sequence == all.len() as u32)
        .cloned()
        .collect();
    assert_eq!(late, expected);
}

#[tokio::test]
async fn an_unknown_job_ends_its_watch_at_once() {
    let fixture = Fixture::start().await;
    let mut watch = fixture.client.attach::<Value>(JobId::mint()).watch();
    let error = wait_for("an answer", watch.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(watch.next().await.is_none());
}
