//! Budgets without a network: who is admitted, who is ended, and what is given back.

use futures_util::task::noop_waker_ref;

use super::super::tally::{Places, Tally};
use super::*;

const MAX: usize = 1 << 20;

fn connection(budgets: &Arc<Budgets>) -> Arc<ConnectionBudget> {
    let places = Places { max: 10, per_address_max: None, closing_max: 0 };
    let peer = std::net::Ipv4Addr::LOCALHOST.into();
    let seat = Arc::<Tally>::default().take_seat(peer, places, false).expect("a place");
    ConnectionBudget::new(budgets, seat.activity().clone())
}

fn is_admitted(connection: &ConnectionBudget, waiting: &mut Waiting) -> bool {
    connection.poll_admission(waiting, &mut Context::from_waker(noop_waker_ref())).is_ready()
}

#[tokio::test]
async fn the_longest_stalled_of_a_full_connection_is_ended_after_a_while() {
    let budgets = Budgets::new(MAX, 10 * MAX);
    let (full, other) = (connection(&budgets), connection(&budgets));
    let (elsewhere, older, newer) =
        (other.register(Kind::Request), full.register(Kind::Request), full.register(Kind::Request));
    let held = (elsewhere.hold(10), older.hold(MAX / 2), newer.hold(MAX / 2));
    older.backdate(STALL_TIME / 2);
    let mut waiting = Waiting::default();
    assert!(!is_admitted(&full, &mut waiting) && !older.is_condemned(), "it may go on yet");
    assert!(is_admitted(&other, &mut Waiting::default()), "the other connection has its own budget");
    older.backdate(STALL_TIME);
    *full.searched.lock() = None;
    newer.backdate(STALL_TIME / 2);
    elsewhere.backdate(2 * STALL_TIME);
    assert!(!is_admitted(&full, &mut waiting) && older.is_condemned());
    assert!(!newer.is_condemned() && !elsewhere.is_condemned());
    drop(held);
    assert!(is_admitted(&full, &mut waiting));
    assert_eq!((full.held.load(Relaxed), budgets.held.load(Relaxed)), (0, 0));
}

#[tokio::test]
async fn when_all_together_are_full_the_longest_stalled_of_all_is_ended() {
    let budgets = Budgets::new(MAX, MAX);
    let (one, other) = (connection(&budgets), connection(&budgets));
    let holder = other.register(Kind::Request);
    let held = holder.hold(MAX);
    holder.backdate(STALL_TIME);
    let mut waiting = Waiting::default();
    assert!(!is_admitted(&one, &mut waiting) && holder.is_condemned());
    drop(held);
    assert!(is_admitted(&one, &mut waiting));
}

#[tokio::test]
async fn bytes_count_until_their_last_part_is_dropped() {
    let budgets = Budgets::new(MAX, MAX);
    let connection = connection(&budgets);
    let holder = connection.register(Kind::Answer);
    let mut whole = holder.own(bytes::Bytes::from(vec![1; 100_000]));
    let part = whole.split_to(10);
    drop(whole);
    assert_eq!(connection.held.load(Relaxed), 100_000);
    drop(part);
    assert!(!holder.holds_any());
    assert_eq!(connection.held.load(Relaxed), 0);
}
