//! The open connections of a listener: who has one of the places, who is idle, and what shutdown cut.
//!
//! Metrics are not kept here; these are the numbers that limits and shutdown decide on.

mod activity;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

pub(super) use activity::Activity;
use activity::CoarseClock;

/// How long accepting waits for evicted connections to close.
const SETTLE_TIME_MAX: Duration = Duration::from_millis(100);

/// Bits of an IPv6 address that one subscriber has: what differs below them is the same peer.
const IPV6_PREFIX_BITS: u32 = 64;

/// What was left when [`serve`](super::serve) returned, and what it turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServeReport {
    /// Connections that shutdown cut, rather than that closed in good order.
    pub connections_cut: usize,
    /// Requests that were open on those connections, except on a thread that was too busy to be asked.
    pub requests_cut: usize,
    /// Connections closed at once because a bound of connections was reached and none of them was idle.
    pub connections_refused: u64,
}

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pub(super) max: usize,
    pub(super) per_address_max: Option<usize>,
    /// Evicted connections that may take the time of a GOAWAY; one more is cut at once.
    pub(super) closing_max: usize,
}

/// Why there is no place for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// So many are open, all with calls on them.
    Full(usize),
    /// So many of its address are open, all with calls on them.
    AddressFull(usize),
}

/// The live counts of one listener.
#[derive(Debug, Default)]
pub(super) struct Tally {
    clock: Arc<CoarseClock>,
    roster: Mutex<Roster>,
    /// An evicted connection is closed.
    departed: Notify,
}

#[derive(Debug, Default)]
struct Roster {
    /// Those that have a place, by number; a later one has a greater number.
    open: HashMap<u64, Member>,
    per_address: HashMap<IpAddr, usize>,
    next_number: u64,
    /// Those that were evicted and are not closed yet.
    closing: usize,
    report: ServeReport,
}

#[derive(Debug)]
struct Member {
    address: IpAddr,
    activity: Arc<Activity>,
}

impl Tally {
    /// Takes a place, if need be that of the connection that has been idle for longest; or counts a refusal.
    ///
    /// `is_short` says that one must be given up although fewer than `places.max` are taken.
    pub(super) fn take_seat(
        self: &Arc<Self>,
        peer: IpAddr,
        places: Places,
        is_short: bool,
    ) -> Result<Seat, Refusal> {
        self.clock.tick();
        let (address, mut roster) = (peer_of(peer), self.roster.lock());
        let of_address = roster.per_address.get(&address).copied().unwrap_or(0);
        let refused = match places.per_address_max {
            Some(max) if of_address >= max => {
                (!roster.evict(Some(address), places.closing_max)).then_some(Refusal::AddressFull(max))
            }
            _ if is_short || roster.open.len() >= places.max => {
                (!roster.evict(None, places.closing_max)).then_some(Refusal::Full(roster.open.len()))
            }
            _ => None,
        };
        if let Some(refusal) = refused {
            roster.report.connections_refused += 1;
            return Err(refusal);
        }
        let activity = Arc::new(Activity::new(self.clock.clone()));
        let number = roster.next_number;
        roster.next_number += 1;
        roster.open.insert(number, Member { address, activity: activity.clone() });
        *roster.per_address.entry(address).or_default() += 1;
        Ok(Seat { tally: self.clone(), number, activity, is_counted: true })
    }

    /// Waits until no more than so many evicted connections are still open; not for long, if a thread is held up.
    pub(super) async fn settle(&self, closing_max: usize) {
        let settled = async {
            while self.closing() > closing_max {
                self.departed.notified().await;
            }
        };
        // Past it, the bound of descriptors holds by itself.
        let _ = timeout(SETTLE_TIME_MAX, settled).await;
    }

    fn closing(&self) -> usize {
        self.roster.lock().closing
    }

    /// Counts a connection that was refused for another reason.
    pub(super) fn count_refusal(&self) {
        self.roster.lock().report.connections_refused += 1;
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        self.roster.lock().open.len()
    }

    /// Moves the clock by which connections are idle; to be called every second.
    pub(super) fn tick(&self) {
        self.clock.tick();
    }

    /// The counts so far; a connection that still stands counts as cut.
    pub(super) fn report(&self) -> ServeReport {
        let roster = self.roster.lock();
        let standing = roster.open.len() + roster.closing;
        ServeReport { connections_cut: roster.report.connections_cut + standing, ..roster.report }
    }
}

impl Roster {
    /// Ends the connection that has been idle for longest, of this address if one is given; false if none is idle.
    fn evict(&mut self, address: Option<IpAddr>, closing_max: usize) -> bool {
        let candidates =
            self.open.iter().filter(|(_, member)| address.is_none_or(|only| only == member.address));
        let idle = candidates.filter_map(|(number, member)| Some((member.activity.idle_since()?, *number)));
        let Some((_, number)) = idle.min() else { return false };
        if let Some(member) = self.remove(number) {
            self.closing += 1;
            member.activity.evict(self.closing > closing_max);
        }
        true
    }

    fn remove(&mut self, number: u64) -> Option<Member> {
        let member = self.open.remove(&number)?;
        if let Some(count) = self.per_address.get_mut(&member.address) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&member.address);
            }
        }
        Some(member)
    }
}

/// Whom an address belongs to.
fn peer_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let mask = u128::MAX << (u128::BITS - IPV6_PREFIX_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
        v4 => v4,
    }
}

/// The place of one open connection, free again when dropped or evicted.
#[derive(Debug)]
pub(super) struct Seat {
    tally: Arc<Tally>,
    number: u64,
    activity: Arc<Activity>,
    is_counted: bool,
}

impl Seat {
    /// What happens on the connection.
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Counts the connection as cut by shutdown with this many requests open, and no longer as open.
    pub(super) fn count_cut(&mut self, open_requests: usize) {
        self.leave();
        let mut roster = self.tally.roster.lock();
        roster.report.connections_cut += 1;
        roster.report.requests_cut += open_requests;
    }

    fn leave(&mut self) {
        if std::mem::replace(&mut self.is_counted, false) {
            let mut roster = self.tally.roster.lock();
            if roster.remove(self.number).is_none() {
                roster.closing -= 1;
                self.tally.departed.notify_one();
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(tally: &Arc<Tally>, peer: &str, max: usize, per_address_max: usize) -> Result<Seat, Refusal> {
        let places = Places { max, per_address_max: Some(per_address_max), closing_max: 5 };
        tally.take_seat(peer.parse().expect("an address"), places, false)
    }

    #[test]
    fn the_longest_idle_makes_way_and_whoever_has_a_call_open_stays() {
        let tally = Arc::<Tally>::default();
        let busy = take(&tally, "10.0.0.1", 3, 9).expect("a place");
        busy.activity().begin_request();
        let older = take(&tally, "10.0.0.2", 3, 9).expect("a place");
        let newer = take(&tally, "10.0.0.3", 3, 9).expect("a place");
        let newcomer = take(&tally, "10.0.0.4", 3, 9).expect("the place of the older");
        assert!(
            older.activity().is_evicted() && !newer.activity().is_evicted() && !busy.activity().is_evicted()
        );
        for seat in [&newer, &newcomer] {
            seat.activity().begin_request();
        }
        assert_eq!(take(&tally, "10.0.0.5", 3, 9).err(), Some(Refusal::Full(3)));
        busy.activity().end_request();
        assert!(take(&tally, "10.0.0.5", 3, 9).is_ok() && busy.activity().is_evicted());
        drop((busy, older, newer, newcomer));
        assert_eq!(tally.report(), ServeReport { connections_refused: 1, ..ServeReport::default() });
    }

    #[test]
    fn an_address_at_its_bound_gives_up_its_own_and_nobody_elses() {
        let tally = Arc::<Tally>::default();
        let other = take(&tally, "10.0.0.9", 9, 2).expect("a place");
        let first = take(&tally, "10.0.0.1", 9, 2).expect("a place");
        let second = take(&tally, "::ffff:10.0.0.1", 9, 2).expect("a place");
        let third = take(&tally, "10.0.0.1", 9, 2).expect("the place of the first");
        assert!(first.activity().is_evicted() && !second.activity().is_evicted());
        for seat in [&second, &third] {
            seat.activity().begin_request();
        }
        assert_eq!(take(&tally, "10.0.0.1", 9, 2).err(), Some(Refusal::AddressFull(2)));
        assert!(take(&tally, "10.0.0.2", 9, 2).is_ok());
        assert!(!other.activity().is_evicted());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_peer() {
        let peer = |text: &str| peer_of(text.parse().expect("an address"));
        assert_eq!(peer("2001:db8:1:2:a::1"), peer("2001:db8:1:2:b::2"));
        assert_ne!(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
        assert_ne!(peer("10.0.0.1"), peer("10.0.0.2"));
    }

    #[test]
    fn beyond_a_number_of_goodbyes_the_evicted_are_cut() {
        let tally = Arc::<Tally>::default();
        let seats: Vec<_> = (0..5 + 2)
            .map(|_| take(&tally, "10.0.0.1", 1, 9).expect("the place of the one before"))
            .collect();
        let cut = seats.iter().filter(|seat| seat.activity().is_to_be_cut()).count();
        assert_eq!(cut, 1);
    }
}
