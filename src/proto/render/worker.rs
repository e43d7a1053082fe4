//! Converts the messages to workers, and the workers that operators list.

use std::sync::Arc;

use super::{duration, payload, timestamp, trace_context};
use crate::job::{Assignment, Drain, LeaseId, Stop, WorkerLink, WorkerState, WorkerView};
use crate::proto::v1;

/// Converts an assignment of an attempt.
pub(crate) fn assignment(assignment: &Assignment) -> v1::Assignment {
    let options = assignment.options.as_deref();
    v1::Assignment {
        lease_id: assignment.lease.to_string(),
        job_id: assignment.job_id.into(),
        attempt: assignment.attempt,
        kind: (*assignment.kind).to_owned(),
        queue: (*assignment.queue).to_owned(),
        payload: Some(payload(&assignment.payload)),
        headers: options.map(|options| options.headers.clone().into_iter().collect()).unwrap_or_default(),
        labels: options.map(|options| options.labels.clone().into_iter().collect()).unwrap_or_default(),
        time_left: Some(duration(assignment.time_left)),
        trace_context: options.and_then(|options| options.trace.as_deref()).map(trace_context),
    }
}

/// Converts an order to stop an attempt.
pub(crate) fn attempt_cancel(lease: LeaseId, stop: Stop) -> v1::AttemptCancel {
    let (force_after, revoked) = match stop {
        Stop::Cancel(grace) => (Some(duration(grace)), false),
        Stop::Revoke => (None, true),
    };
    v1::AttemptCancel { lease_id: lease.to_string(), force_after, revoked }
}

/// Converts the notice that the worker gets no more assignments.
pub(crate) fn drain(drain: Drain) -> v1::Drain {
    v1::Drain { time_left: Some(duration(drain.within)), server_shutdown: drain.server_shutdown }
}

/// Converts a worker.
pub(crate) fn worker(view: &WorkerView) -> v1::Worker {
    let link = match view.link {
        WorkerLink::Pool => v1::WorkerLink::Pool,
        WorkerLink::Stream => v1::WorkerLink::Stream,
        WorkerLink::Unary => v1::WorkerLink::Unary,
    };
    let state = match view.state {
        WorkerState::Connected => v1::WorkerState::Connected,
        WorkerState::Draining => v1::WorkerState::Draining,
        WorkerState::Disconnected => v1::WorkerState::Disconnected,
    };
    v1::Worker {
        worker_id: view.id.clone(),
        name: (*view.name).to_owned(),
        link: link.into(),
        state: state.into(),
        kinds: texts(&view.kinds),
        kinds_total: u32::try_from(view.kinds_total).unwrap_or(u32::MAX),
        queues: texts(&view.queues),
        queues_total: u32::try_from(view.queues_total).unwrap_or(u32::MAX),
        slots: view.slots,
        slots_taken: view.slots_taken,
        create_time: Some(timestamp(view.create_time)),
        last_heard_age: view.last_heard_age.map(duration),
        sdk: view.sdk.clone(),
        address: view.address.clone(),
    }
}

fn texts(names: &[Arc<str>]) -> Vec<String> {
    names.iter().map(|name| (**name).to_owned()).collect()
}
