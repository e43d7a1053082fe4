//! The messages an entry consists of. Tags are never changed and never used again; those of fields that go are left out.
//!
//! Times of the wall clock are microseconds since 1970. A span or monotonic time that is left out has no end, where the
//! domain has a time and not an option.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::{Message, Oneof};

#[derive(Message)]
pub(super) struct Entry {
    #[prost(message, required, tag = "1")]
    pub(super) monotonic: Span,
    #[prost(sfixed64, tag = "2")]
    pub(super) wall: i64,
    /// [`Record`]s, read one at a time: many that are empty must not become large.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub(super) records: Vec<Bytes>,
    /// Which one it is of the entries of one command, from 1, and how many those are; both 0 if it is alone.
    #[prost(uint32, tag = "4")]
    pub(super) part: u32,
    #[prost(uint32, tag = "5")]
    pub(super) parts: u32,
}

/// 128 bits: an id.
#[derive(Message)]
pub(super) struct Wide {
    #[prost(fixed64, tag = "1")]
    pub(super) high: u64,
    #[prost(fixed64, tag = "2")]
    pub(super) low: u64,
}

#[derive(Message)]
pub(super) struct Span {
    #[prost(uint64, tag = "1")]
    pub(super) seconds: u64,
    /// Below a second.
    #[prost(uint32, tag = "2")]
    pub(super) nanos: u32,
}

#[derive(Message)]
pub(super) struct Record {
    #[prost(oneof = "Sort", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12")]
    pub(super) sort: Option<Sort>,
}

#[derive(Oneof)]
pub(super) enum Sort {
    #[prost(message, tag = "1")]
    Accepted(Accepted),
    #[prost(message, tag = "2")]
    Moved(Moved),
    #[prost(message, tag = "3")]
    Reported(Reported),
    #[prost(message, tag = "4")]
    Removed(Removed),
    #[prost(message, tag = "5")]
    QueuePaused(QueuePaused),
    #[prost(message, tag = "6")]
    CancelHastened(CancelHastened),
    #[prost(message, tag = "7")]
    ReportsTaken(ReportsTaken),
    #[prost(message, tag = "8")]
    Dropped(Dropped),
    #[prost(message, tag = "9")]
    Secret(Wide),
    #[prost(message, tag = "10")]
    Resumed(Span),
    #[prost(message, tag = "12")]
    Offered(Offered),
}

#[derive(Message)]
pub(super) struct Accepted {
    #[prost(message, optional, tag = "1")]
    pub(super) id: Option<Wide>,
    #[prost(message, optional, tag = "2")]
    pub(super) job: Option<Job>,
    #[prost(uint64, tag = "3")]
    pub(super) number: u64,
    /// Of the entry, if it is left out.
    #[prost(sfixed64, optional, tag = "4")]
    pub(super) create_time: Option<i64>,
    /// As well.
    #[prost(message, optional, tag = "5")]
    pub(super) created: Option<Span>,
    /// A wait reason; 0 for none.
    #[prost(uint32, tag = "6")]
    pub(super) first_wait: u32,
    #[prost(message, optional, tag = "7")]
    pub(super) deadline: Option<Span>,
}

#[derive(Message)]
pub(super) struct Job {
    /// As the caller gave it.
    #[prost(message, optional, tag = "1")]
    pub(super) id: Option<Wide>,
    #[prost(string, tag = "2")]
    pub(super) kind: String,
    #[prost(string, tag = "3")]
    pub(super) queue: String,
    #[prost(message, required, tag = "4")]
    pub(super) payload: Payload,
    #[prost(sint32, tag = "5")]
    pub(super) priority: i32,
    #[prost(message, optional, tag = "6")]
    pub(super) options: Option<Options>,
}

#[derive(Message)]
pub(super) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) content: Bytes,
    #[prost(uint32, tag = "2")]
    pub(super) encoding: u32,
    /// Empty for the encoding's default.
    #[prost(string, tag = "3")]
    pub(super) content_type: String,
}

#[derive(Message)]
pub(super) struct Options {
    /// At once if there is none.
    #[prost(message, optional, tag = "1")]
    pub(super) start: Option<Start>,
    #[prost(message, optional, tag = "2")]
    pub(super) attempt_timeout: Option<Span>,
    #[prost(message, optional, tag = "3")]
    pub(super) timeout: Option<Span>,
    #[prost(message, required, tag = "4")]
    pub(super) retry: Retry,
    #[prost(message, optional, tag = "5")]
    pub(super) retention: Option<Span>,
    #[prost(btree_map = "string, string", tag = "6")]
    pub(super) labels: BTreeMap<String, String>,
    #[prost(btree_map = "string, string", tag = "7")]
    pub(super) headers: BTreeMap<String, String>,
    #[prost(message, optional, tag = "8")]
    pub(super) origin: Option<Wide>,
}

#[derive(Message)]
pub(super) struct Start {
    #[prost(oneof = "When", tags = "1, 2")]
    pub(super) when: Option<When>,
}

#[derive(Oneof)]
pub(super) enum When {
    #[prost(sfixed64, tag = "1")]
    At(i64),
    #[prost(message, tag = "2")]
    After(Span),
}

#[derive(Message)]
pub(super) struct Retry {
    #[prost(uint32, tag = "1")]
    pub(super) max_attempts: u32,
    #[prost(message, required, tag = "2")]
    pub(super) initial_backoff: Span,
    #[prost(double, tag = "3")]
    pub(super) multiplier: f64,
    #[prost(message, required, tag = "4")]
    pub(super) max_backoff: Span,
    #[prost(double, tag = "5")]
    pub(super) jitter: f64,
    #[prost(uint32, tag = "6")]
    pub(super) max_lost_attempts: u32,
}

#[derive(Message)]
pub(super) struct Moved {
    /// Here and below: that of the record before, if it is left out.
    #[prost(message, optional, tag = "1")]
    pub(super) id: Option<Wide>,
    #[prost(message, optional, tag = "2")]
    pub(super) event: Option<Event>,
    #[prost(uint32, tag = "3")]
    pub(super) lost: u32,
    #[prost(uint32, tag = "4")]
    pub(super) released: u32,
    #[prost(bool, tag = "5")]
    pub(super) cancel_requested: bool,
    #[prost(message, optional, tag = "6")]
    pub(super) deadline: Option<Span>,
    #[prost(sfixed64, optional, tag = "7")]
    pub(super) expire_time: Option<i64>,
    #[prost(message, optional, tag = "8")]
    pub(super) running: Option<Running>,
    /// Microseconds from the entry's times to the deadline and the expire time, which are left out then.
    #[prost(uint64, tag = "9")]
    pub(super) retention: u64,
}

#[derive(Message)]
pub(super) struct Running {
    #[prost(message, optional, tag = "1")]
    pub(super) lease: Option<Wide>,
    #[prost(uint32, tag = "2")]
    pub(super) link: u32,
    /// Of a worker that holds a stream.
    #[prost(message, optional, tag = "3")]
    pub(super) instance: Option<Wide>,
    #[prost(string, tag = "4")]
    pub(super) worker: String,
    #[prost(message, optional, tag = "5")]
    pub(super) attempt_deadline: Option<Span>,
    #[prost(message, optional, tag = "6")]
    pub(super) cancel: Option<Cancel>,
}

#[derive(Message)]
pub(super) struct Cancel {
    #[prost(message, optional, tag = "1")]
    pub(super) force_at: Option<Span>,
    #[prost(string, tag = "2")]
    pub(super) reason: String,
}

#[derive(Message)]
pub(super) struct Event {
    #[prost(uint32, tag = "1")]
    pub(super) sequence: u32,
    /// Of the entry, if it is left out.
    #[prost(sfixed64, optional, tag = "2")]
    pub(super) time: Option<i64>,
    #[prost(uint32, tag = "3")]
    pub(super) attempt: u32,
    #[prost(oneof = "Body", tags = "4, 5, 6, 7")]
    pub(super) body: Option<Body>,
}

#[derive(Oneof)]
pub(super) enum Body {
    #[prost(message, tag = "4")]
    State(State),
    #[prost(message, tag = "5")]
    Progress(Progress),
    #[prost(message, tag = "6")]
    Output(Output),
    #[prost(message, tag = "7")]
    Log(Log),
}

#[derive(Message)]
pub(super) struct State {
    #[prost(uint32, tag = "1")]
    pub(super) state: u32,
    /// 0 for none.
    #[prost(uint32, tag = "2")]
    pub(super) wait_reason: u32,
    #[prost(message, optional, tag = "3")]
    pub(super) failure: Option<Failure>,
    #[prost(sfixed64, optional, tag = "4")]
    pub(super) next_attempt_time: Option<i64>,
    #[prost(message, optional, tag = "5")]
    pub(super) outcome: Option<Outcome>,
    #[prost(bool, tag = "6")]
    pub(super) cancel_requested: bool,
}

#[derive(Message)]
pub(super) struct Outcome {
    #[prost(oneof = "End", tags = "1, 2, 3")]
    pub(super) end: Option<End>,
}

#[derive(Oneof)]
pub(super) enum End {
    #[prost(message, tag = "1")]
    Result(Payload),
    #[prost(message, tag = "2")]
    Failure(Failure),
    #[prost(message, tag = "3")]
    Cancellation(Cancellation),
}

#[derive(Message)]
pub(super) struct Failure {
    #[prost(uint32, tag = "1")]
    pub(super) reason: u32,
    #[prost(string, tag = "2")]
    pub(super) error_type: String,
    #[prost(string, tag = "3")]
    pub(super) message: String,
    #[prost(message, optional, tag = "4")]
    pub(super) details: Option<Payload>,
    #[prost(uint32, tag = "5")]
    pub(super) attempt: u32,
    #[prost(bool, tag = "6")]
    pub(super) retryable: bool,
}

#[derive(Message)]
pub(super) struct Cancellation {
    #[prost(string, tag = "1")]
    pub(super) reason: String,
    #[prost(bool, tag = "2")]
    pub(super) forced: bool,
}

#[derive(Message)]
pub(super) struct Progress {
    #[prost(double, optional, tag = "1")]
    pub(super) fraction: Option<f64>,
    #[prost(double, optional, tag = "2")]
    pub(super) done: Option<f64>,
    #[prost(double, optional, tag = "3")]
    pub(super) total: Option<f64>,
    #[prost(string, tag = "4")]
    pub(super) unit: String,
    #[prost(string, tag = "5")]
    pub(super) message: String,
}

#[derive(Message)]
pub(super) struct Output {
    #[prost(message, required, tag = "1")]
    pub(super) payload: Payload,
    #[prost(string, tag = "2")]
    pub(super) channel: String,
}

#[derive(Message)]
pub(super) struct Log {
    #[prost(uint32, tag = "1")]
    pub(super) level: u32,
    #[prost(string, tag = "2")]
    pub(super) text: String,
    #[prost(uint32, tag = "3")]
    pub(super) stream: u32,
}

#[derive(Message)]
pub(super) struct Reported {
    #[prost(message, optional, tag = "1")]
    pub(super) id: Option<Wide>,
    #[prost(message, optional, tag = "2")]
    pub(super) event: Option<Event>,
}

#[derive(Message)]
pub(super) struct Removed {
    #[prost(message, optional, tag = "1")]
    pub(super) id: Option<Wide>,
    #[prost(sfixed64, optional, tag = "2")]
    pub(super) expire_time: Option<i64>,
    /// Monotonic time of the removal; of the entry, if it is left out.
    #[prost(message, optional, tag = "3")]
    pub(super) removed: Option<Span>,
    /// The final state and the digest of the spec of a job whose id its caller chose; 0 and nothing otherwise.
    #[prost(uint32, tag = "4")]
    pub(super) state: u32,
    #[prost(message, optional, tag = "5")]
    pub(super) digest: Option<Wide>,
    /// A caller deleted it. Before format version 2, it was deleted if it has no expire time.
    #[prost(bool, tag = "6")]
    pub(super) deleted: bool,
}

#[derive(Message)]
pub(super) struct QueuePaused {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(bool, tag = "2")]
    pub(super) paused: bool,
}

#[derive(Message)]
pub(super) struct CancelHastened {
    #[prost(message, optional, tag = "1")]
    pub(super) id: Option<Wide>,
    #[prost(message, optional, tag = "2")]
    pub(super) force_at: Option<Span>,
}

#[derive(Message)]
pub(super) struct Offered {
    #[prost(message, optional, tag = "1")]
    pub(super) id: Option<Wide>,
    #[prost(uint32, tag = "2")]
    pub(super) attempt: u32,
}

#[derive(Message)]
pub(super) struct ReportsTaken {
    #[prost(message, optional, tag = "1")]
    pub(super) instance: Option<Wide>,
    #[prost(uint64, tag = "2")]
    pub(super) newest: u64,
}

#[derive(Message)]
pub(super) struct Dropped {
    #[prost(message, optional, tag = "1")]
    pub(super) id: Option<Wide>,
    /// Three numbers a range.
    #[prost(uint32, repeated, tag = "2")]
    pub(super) ranges: Vec<u32>,
}
