//! An open watch and its received messages.

use jobstream::proto::v1;
use jobstream::proto::v1::job_event::Event;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use jobstream::proto::v1::watch_result_response::Message;
use rustix::process::Pid;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use super::wait_for;
use crate::checker::journal::end_of;

pub(crate) fn watch_request(id: &str, after_sequence: u32) -> v1::WatchResultRequest {
    v1::WatchResultRequest { job_id: id.to_owned(), after_sequence, ..Default::default() }
}

/// Returns the new state of a state event.
pub(crate) fn event_state(event: &v1::JobEvent) -> Option<v1::JobState> {
    match &event.event {
        Some(Event::StateChange(change)) => Some(change.state()),
        _ => None,
    }
}

pub(crate) struct Watched {
    stream: Option<Streaming<v1::WatchResultResponse>>,
    pub(crate) events: Vec<v1::JobEvent>,
    pub(crate) gaps: Vec<v1::Gap>,
    pub(crate) heartbeats: Vec<v1::Heartbeat>,
    /// The status of the stream, once it has ended.
    pub(crate) ended: Option<Result<(), Status>>,
}

impl Watched {
    pub(crate) async fn open(
        client: &mut JobServiceClient<Channel>,
        request: v1::WatchResultRequest,
    ) -> Self {
        let opened = wait_for("WatchResult begins", client.watch_result(request)).await;
        let (stream, ended) = match opened {
            Ok(stream) => (Some(stream.into_inner()), None),
            Err(status) => (None, Some(Err(status))),
        };
        Self { stream, events: Vec::new(), gaps: Vec::new(), heartbeats: Vec::new(), ended }
    }

    /// Reads one message. Returns false once the stream has ended.
    pub(crate) async fn step(&mut self) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        match wait_for("a message of WatchResult", stream.message()).await {
            Ok(Some(message)) => match message.message.expect("a message is never empty") {
                Message::Event(event) => self.events.push(event),
                Message::Gap(gap) => self.gaps.push(gap),
                Message::Heartbeat(heartbeat) => self.heartbeats.push(heartbeat),
            },
            Ok(None) => self.ended = Some(Ok(())),
            Err(status) => self.ended = Some(Err(status)),
        }
        self.ended.is_none()
    }

    /// Reads until a log line. Returns the process id that it contains.
    pub(crate) async fn process_id(&mut self) -> Pid {
        loop {
            assert!(self.step().await, "the watch ended early: {:?}", self.ended);
            if let Some(Event::Log(log)) = self.events.last().and_then(|event| event.event.as_ref()) {
                let pid = log.text.parse().unwrap_or_else(|_| panic!("no process id: {log:?}"));
                return Pid::from_raw(pid).expect("not zero");
            }
        }
    }

    /// Reads until the job is in this state.
    pub(crate) async fn read_to(&mut self, state: v1::JobState) {
        while !self.events.iter().any(|event| event_state(event) == Some(state)) {
            assert!(self.step().await, "the watch ended before {state:?}: {:?}", self.ended);
        }
    }

    /// Reads to the end of the stream.
    pub(crate) async fn rest(mut self) -> Self {
        while self.step().await {}
        self
    }

    /// Returns the status of a stream that ended with an error.
    #[track_caller]
    pub(crate) fn status(&self) -> &Status {
        match &self.ended {
            Some(Err(status)) => status,
            other => panic!("the watch did not end with an error: {other:?}, events {:?}", self.events),
        }
    }

    /// Returns the states of the job, in order.
    pub(crate) fn states(&self) -> Vec<v1::JobState> {
        self.events.iter().filter_map(event_state).collect()
    }

    pub(crate) fn sequences(&self) -> Vec<u32> {
        self.events.iter().map(|event| event.sequence).collect()
    }

    /// Returns the outcome of a stream that ended OK. Asserts that only the last event has one.
    #[track_caller]
    pub(crate) fn outcome(&self) -> &v1::Outcome {
        assert!(matches!(self.ended, Some(Ok(()))), "the watch did not end OK: {:?}", self.ended);
        assert_eq!(self.events.iter().filter_map(end_of).count(), 1, "{:?}", self.events);
        assert!(self.events.is_sorted_by(|one, next| one.sequence < next.sequence), "{:?}", self.events);
        self.events.last().and_then(end_of).expect("the last event has the outcome")
    }
}
