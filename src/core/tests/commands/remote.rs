//! Random commands of remote workers.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{Serving, serving, span};

/// A small number, so that most instances reconnect.
const INSTANCES: u8 = 4;
/// A small number, so that many lease requests are repeated.
const REQUESTS: u8 = 2;

#[derive(Debug, Clone)]
pub(in super::super) enum Remote {
    /// Connects a new or known instance, which reports its leases.
    Connect(u8, Serving, Claim),
    /// Requests jobs with a lease call, which may have an id.
    Lease(Serving, Option<u8>),
    /// Repeats a lease call.
    LeaseAgain(Index),
    /// Takes the jobs of a lease call, or those of its response again.
    Take(Index),
    Accept(LeaseChoice),
    /// A heartbeat that lists leases.
    Heartbeat(Index, Claim),
    Disconnect(Index),
    Leave(Index),
    TakeReport(Index, u64),
    Drain(DrainTarget, Duration),
}

/// The leases that a worker reports.
#[derive(Debug, Clone)]
pub(in super::super) struct Claim {
    /// A bit mask over the leases of the worker.
    pub(in super::super) held: u32,
    /// Other leases: lost ones, and those of other workers.
    pub(in super::super) others: Vec<Index>,
}

/// Selects a lease to accept.
#[derive(Debug, Clone)]
pub(in super::super) enum LeaseChoice {
    /// An offered lease.
    Offered(Index),
    /// Any lease, past or current, from any session.
    Any(Index, Index),
}

/// Selects the workers to drain.
#[derive(Debug, Clone)]
pub(in super::super) enum DrainTarget {
    Id(Index),
    Name(&'static str),
}

pub(in super::super) const POOL_NAME: &str = "pool";
const CALLER_NAME: &str = "caller";
/// Names of instances. Some instances share a name.
const INSTANCE_NAMES: [&str; 2] = ["even", "odd"];

impl Remote {
    pub(in super::super) fn name_of_instance(instance: u8) -> &'static str {
        INSTANCE_NAMES[usize::from(instance) % INSTANCE_NAMES.len()]
    }

    pub(in super::super) fn name_of_caller() -> &'static str {
        CALLER_NAME
    }
}

pub(super) fn remote() -> impl Strategy<Value = Remote> {
    let index = any::<Index>;
    let which = prop_oneof![
        6 => index().prop_map(LeaseChoice::Offered),
        1 => (index(), index()).prop_map(|(lease, session)| LeaseChoice::Any(lease, session)),
    ];
    let by_name = select(vec![POOL_NAME, CALLER_NAME, INSTANCE_NAMES[0], INSTANCE_NAMES[1], "nobody"]);
    let target = prop_oneof![index().prop_map(DrainTarget::Id), by_name.prop_map(DrainTarget::Name)];
    prop_oneof![
        7 => (0..INSTANCES, serving(), claim())
            .prop_map(|(instance, serving, claim)| Remote::Connect(instance, serving, claim)),
        4 => (serving(), proptest::option::of(0..REQUESTS))
            .prop_map(|(serving, request)| Remote::Lease(serving, request)),
        2 => index().prop_map(Remote::LeaseAgain),
        4 => index().prop_map(Remote::Take),
        14 => which.prop_map(Remote::Accept),
        9 => (index(), claim()).prop_map(|(session, claim)| Remote::Heartbeat(session, claim)),
        4 => index().prop_map(Remote::Disconnect),
        1 => index().prop_map(Remote::Leave),
        3 => (index(), 0..20_u64).prop_map(|(session, sequence)| Remote::TakeReport(session, sequence)),
        1 => (target, span(100)).prop_map(|(target, within)| Remote::Drain(target, within)),
    ]
}

fn claim() -> impl Strategy<Value = Claim> {
    let held = prop_oneof![3 => Just(u32::MAX), 2 => any::<u32>(), 1 => Just(0)];
    let others = prop_oneof![3 => Just(Vec::new()), 1 => vec(any::<Index>(), 1..3)];
    (held, others).prop_map(|(held, others)| Claim { held, others })
}
