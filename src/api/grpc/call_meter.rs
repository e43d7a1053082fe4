//! Counts calls: how long they take, how they end, and why they are refused.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::{Deadline, code_name};
use crate::metrics::{self, AtomicHistogram, CALL_BUCKETS, NAMES_MAX, OTHER, Snapshot};
use crate::proto::json::messages;

/// The status codes of gRPC.
const CODES: usize = 17;
/// The calls that submit jobs.
const SUBMITS: [&str; 5] = ["Submit", "Run", "BatchSubmit", "SubmitStream", "Retry"];
/// Reasons that are counted from the start, so that their first occurrence is an increase.
const REASONS: [&str; 7] = [
    "INVALID_FIELD",
    "QUEUE_FULL",
    "PAYLOAD_TOO_LARGE",
    "DRAINING",
    "DISK_FULL",
    "GRANT_MISSING",
    "CREDENTIAL_REQUIRED",
];

/// Counts the calls of a server. Clones share the counts.
#[derive(Debug, Clone)]
pub(crate) struct CallMeter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The methods of the API, and one for all other calls.
    methods: Vec<Method>,
    /// The index of a method by its path without the first slash.
    by_path: HashMap<String, usize>,
    refused: Mutex<Reasons>,
    submits_refused: Mutex<Reasons>,
}

#[derive(Debug)]
struct Method {
    path: String,
    is_stream: bool,
    /// The durations by status code. Most codes of most methods do not occur.
    durations: [OnceLock<AtomicHistogram>; CODES],
}

/// Counts by reason. Reasons are those of the server's errors, so that the bound is not reached.
#[derive(Debug)]
struct Reasons(BTreeMap<String, u64>);

impl Default for CallMeter {
    fn default() -> Self {
        let of_api = messages().services().flat_map(|service| service.methods().collect::<Vec<_>>());
        let mut methods: Vec<_> = of_api
            .map(|rpc| {
                let path = format!("{}/{}", rpc.parent_service().full_name(), rpc.name());
                Method::new(path, rpc.is_server_streaming() || rpc.is_client_streaming())
            })
            .collect();
        methods.push(Method::new(OTHER.to_owned(), false));
        let by_path =
            methods.iter().enumerate().map(|(index, method)| (method.path.clone(), index)).collect();
        let refused = Mutex::new(Reasons::default());
        Self(Arc::new(Shared { methods, by_path, refused, submits_refused: Mutex::new(Reasons::default()) }))
    }
}

impl Method {
    fn new(path: String, is_stream: bool) -> Self {
        let durations: [OnceLock<AtomicHistogram>; CODES] = Default::default();
        // Present from the start, so that the first call is an increase.
        durations[0].get_or_init(|| AtomicHistogram::new(CALL_BUCKETS));
        Self { path, is_stream, durations }
    }
}

impl Default for Reasons {
    fn default() -> Self {
        Self(REASONS.into_iter().map(|reason| (reason.to_owned(), 0)).collect())
    }
}

impl Reasons {
    fn count(&mut self, reason: &str) {
        let is_known = self.0.contains_key(reason) || self.0.len() < NAMES_MAX;
        let reason = if is_known { reason } else { OTHER };
        *self.0.entry(reason.to_owned()).or_default() += 1;
    }
}

/// Measures one call. If it is dropped before its end, the caller cancelled the call or its deadline passed.
#[derive(Debug)]
pub(crate) struct CallTimer {
    meter: CallMeter,
    method: usize,
    began: Instant,
    deadline: Option<Deadline>,
    has_ended: bool,
}

impl CallMeter {
    /// Starts to measure a call of this path, which begins with a slash.
    pub(crate) fn start(&self, path: &str, deadline: Option<Deadline>) -> CallTimer {
        self.start_at(path.get(1..).unwrap_or_default(), Instant::now(), deadline)
    }

    /// As [`CallMeter::start`], of a call of this method that began at this time.
    pub(crate) fn start_at(&self, method: &str, began: Instant, deadline: Option<Deadline>) -> CallTimer {
        let other = self.0.methods.len() - 1;
        let method = self.0.by_path.get(method).copied().unwrap_or(other);
        CallTimer { meter: self.clone(), method, began, deadline, has_ended: false }
    }

    /// Counts a refused call of this method: `jobstream.v1.JobService/Submit`. A refused job of a batch counts as well.
    pub(crate) fn count_refusal(&self, method: &str, reason: &str) {
        self.0.refused.lock().count(reason);
        let name = method.rsplit('/').next().unwrap_or_default();
        if SUBMITS.contains(&name) {
            self.0.submits_refused.lock().count(reason);
        }
    }

    /// Adds the counts.
    pub(crate) fn collect(&self, snapshot: &mut Snapshot) {
        for method in &self.0.methods {
            let family = match method.is_stream {
                true => &metrics::RPC_STREAM_DURATION,
                false => &metrics::RPC_CALL_DURATION,
            };
            for (code, durations) in method.durations.iter().enumerate() {
                if let Some(durations) = durations.get() {
                    let labels = [&*method.path, code_name(Code::from_i32(code as i32))];
                    snapshot.add_histogram(family, &labels, &durations.read());
                }
            }
        }
        for (family, reasons) in
            [(&metrics::CALLS_REFUSED, &self.0.refused), (&metrics::SUBMIT_REJECTED, &self.0.submits_refused)]
        {
            for (reason, count) in &reasons.lock().0 {
                snapshot.add(family, &[reason], *count as f64);
            }
        }
    }
}

impl CallTimer {
    /// Counts the end of the call.
    pub(crate) fn end(&mut self, code: Code) {
        if !std::mem::replace(&mut self.has_ended, true) {
            let durations = &self.meter.0.methods[self.method].durations[code as usize];
            let durations = durations.get_or_init(|| AtomicHistogram::new(CALL_BUCKETS));
            durations.record(self.began.elapsed());
        }
    }

    /// Counts the end of the call if these headers or trailers have its status.
    pub(crate) fn end_with(&mut self, headers: &HeaderMap) {
        if let Some(code) = headers.get(Status::GRPC_STATUS) {
            self.end(Code::from_bytes(code.as_bytes()));
        }
    }
}

impl Drop for CallTimer {
    fn drop(&mut self) {
        let has_passed = |deadline: Deadline| Instant::now() >= deadline.0;
        let code = match self.deadline.is_some_and(has_passed) {
            true => Code::DeadlineExceeded,
            false => Code::Cancelled,
        };
        self.end(code);
    }
}
