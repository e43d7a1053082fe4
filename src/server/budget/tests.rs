//! Budgets without a network: which streams wait, which are aborted, and which bytes are released.

use futures_util::task::noop_waker_ref;

use super::super::registry::{ConnectionBounds, ConnectionRegistry};
use super::*;

const MAX: usize = 1 << 20;

fn connection(budgets: &Arc<Budgets>) -> Arc<ConnectionBudget> {
    let bounds = ConnectionBounds { max: 10, per_address_max: None, closing_max: 0 };
    let peer = std::net::Ipv4Addr::LOCALHOST.into();
    let permit = Arc::<ConnectionRegistry>::default().admit(peer, bounds, false).expect("a free slot");
    ConnectionBudget::new(budgets, permit.activity().clone())
}

fn has_budget(connection: &ConnectionBudget, wait: &mut BudgetWait) -> bool {
    connection.poll_capacity(wait, &mut Context::from_waker(noop_waker_ref())).is_ready()
}

#[tokio::test]
async fn a_full_connection_aborts_its_longest_stalled_stream() {
    let budgets = Budgets::new(MAX, 10 * MAX);
    let (full, other) = (connection(&budgets), connection(&budgets));
    let (elsewhere, older, newer) =
        (other.register(Kind::Request), full.register(Kind::Request), full.register(Kind::Request));
    let reservations = (elsewhere.reserve(10), older.reserve(MAX / 2), newer.reserve(MAX / 2));
    older.backdate(STALL_TIME / 2);
    let mut wait = BudgetWait::default();
    assert!(!has_budget(&full, &mut wait) && !older.is_aborted(), "it has not stalled long enough");
    assert!(has_budget(&other, &mut BudgetWait::default()), "the other connection has its own budget");
    older.backdate(STALL_TIME);
    *full.last_search.lock() = None;
    newer.backdate(STALL_TIME / 2);
    elsewhere.backdate(2 * STALL_TIME);
    assert!(!has_budget(&full, &mut wait) && older.is_aborted());
    assert!(!newer.is_aborted() && !elsewhere.is_aborted());
    drop(reservations);
    assert!(has_budget(&full, &mut wait));
    assert_eq!((full.reserved.load(Relaxed), budgets.reserved.load(Relaxed)), (0, 0));
}

#[tokio::test]
async fn a_full_listener_aborts_the_longest_stalled_stream_of_any_connection() {
    let budgets = Budgets::new(MAX, MAX);
    let (one, other) = (connection(&budgets), connection(&budgets));
    let stream = other.register(Kind::Request);
    let reservation = stream.reserve(MAX);
    stream.backdate(STALL_TIME);
    let mut wait = BudgetWait::default();
    assert!(!has_budget(&one, &mut wait) && stream.is_aborted());
    drop(reservation);
    assert!(has_budget(&one, &mut wait));
}

#[tokio::test]
async fn bytes_stay_reserved_until_their_last_slice_is_dropped() {
    let budgets = Budgets::new(MAX, MAX);
    let connection = connection(&budgets);
    let stream = connection.register(Kind::Response);
    let mut all = stream.reserve_for(bytes::Bytes::from(vec![1; 100_000]));
    let part = all.split_to(10);
    drop(all);
    assert_eq!(connection.reserved.load(Relaxed), 100_000);
    drop(part);
    assert!(!stream.has_reservations());
    assert_eq!(connection.reserved.load(Relaxed), 0);
}
