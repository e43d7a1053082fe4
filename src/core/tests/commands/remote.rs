//! Random commands of workers outside the server.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{Serving, serving, span};

/// Few enough that most come back.
const INSTANCES: u8 = 4;

#[derive(Debug, Clone)]
pub(in super::super) enum Remote {
    /// Connects an instance, new or known, that says what it holds.
    Connect(u8, Serving, Claim),
    /// Asks for jobs with a call.
    Lease(Serving),
    Accept(Which),
    /// A message that lists leases; as a session's own worker, or as one that reports with calls.
    Heartbeat(Index, Claim),
    Disconnect(Index),
    Leave(Index),
    TakeReport(Index, u64),
    Drain(Whom, Duration),
}

/// Leases that a worker names.
#[derive(Debug, Clone)]
pub(in super::super) struct Claim {
    /// Which of those it holds, a bit each.
    pub(in super::super) held: u32,
    /// Beside them any there ever were: lost ones, and those of others.
    pub(in super::super) strays: Vec<Index>,
}

/// A lease that is accepted.
#[derive(Debug, Clone)]
pub(in super::super) enum Which {
    /// One that waits for it.
    Offered(Index),
    /// Any there ever was, by any session.
    Any(Index, Index),
}

/// Who is drained.
#[derive(Debug, Clone)]
pub(in super::super) enum Whom {
    Id(Index),
    Name(&'static str),
}

pub(in super::super) const POOL_NAME: &str = "pool";
const CALLER_NAME: &str = "caller";
/// Names of instances; some share one.
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
        6 => index().prop_map(Which::Offered),
        1 => (index(), index()).prop_map(|(lease, session)| Which::Any(lease, session)),
    ];
    let by_name = select(vec![POOL_NAME, CALLER_NAME, INSTANCE_NAMES[0], INSTANCE_NAMES[1], "nobody"]);
    let whom = prop_oneof![index().prop_map(Whom::Id), by_name.prop_map(Whom::Name)];
    prop_oneof![
        7 => (0..INSTANCES, serving(), claim())
            .prop_map(|(instance, serving, claim)| Remote::Connect(instance, serving, claim)),
        3 => serving().prop_map(Remote::Lease),
        14 => which.prop_map(Remote::Accept),
        9 => (index(), claim()).prop_map(|(session, claim)| Remote::Heartbeat(session, claim)),
        4 => index().prop_map(Remote::Disconnect),
        1 => index().prop_map(Remote::Leave),
        3 => (index(), 0..20_u64).prop_map(|(session, sequence)| Remote::TakeReport(session, sequence)),
        1 => (whom, span(100)).prop_map(|(whom, within)| Remote::Drain(whom, within)),
    ]
}

fn claim() -> impl Strategy<Value = Claim> {
    let held = prop_oneof![3 => Just(u32::MAX), 2 => any::<u32>(), 1 => Just(0)];
    let strays = prop_oneof![3 => Just(Vec::new()), 1 => vec(any::<Index>(), 1..3)];
    (held, strays).prop_map(|(held, strays)| Claim { held, strays })
}
