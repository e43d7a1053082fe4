//! The registry of a listener's open connections: it enforces the connection limits and evicts idle connections.
//!
//! It also counts what a shutdown aborted. Metrics are elsewhere.

mod activity;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

pub(super) use activity::Activity;

/// Longest wait of the accept loop for evicted connections to close.
const EVICTION_WAIT_MAX: Duration = Duration::from_millis(100);

/// Prefix length of an IPv6 network. Addresses of one network are counted as one.
const IPV6_PREFIX_BITS: u32 = 64;

/// What [`serve`](super::serve) aborted and refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServeReport {
    /// Connections that the shutdown aborted.
    pub connections_aborted: usize,
    /// Requests that were open on those connections. Those of a thread that did not respond are not counted.
    pub requests_aborted: usize,
    /// Connections closed at once because a connection limit was reached and no connection was idle.
    pub connections_refused: u64,
}

/// The connection limits.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectionBounds {
    /// Most open connections.
    pub(super) max: usize,
    /// Most open connections of one address.
    pub(super) per_address_max: Option<usize>,
    /// Most evicted connections that close with a GOAWAY at the same time; any more are aborted.
    pub(super) closing_max: usize,
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionRefusal {
    /// This many connections are open, and none is idle.
    Full(usize),
    /// This many connections of its address are open, and none is idle.
    AddressFull(usize),
}

/// The open connections of one listener.
#[derive(Debug, Default)]
pub(super) struct ConnectionRegistry {
    state: Mutex<RegistryState>,
    /// Notified when an evicted connection has closed.
    eviction_done: Notify,
}

#[derive(Debug, Default)]
struct RegistryState {
    /// Open connections that are not evicted, by number. Numbers ascend.
    open: HashMap<u64, Entry>,
    per_address: HashMap<IpAddr, usize>,
    next_number: u64,
    /// Evicted connections that have not closed yet.
    closing: usize,
    report: ServeReport,
}

#[derive(Debug)]
struct Entry {
    address: IpAddr,
    activity: Arc<Activity>,
}

impl ConnectionRegistry {
    /// Admits a connection. At a limit, it evicts the longest idle connection.
    ///
    /// `is_low_on_descriptors` forces an eviction below `bounds.max`.
    ///
    /// # Errors
    ///
    /// If a limit is reached and no connection is idle. The refusal is counted.
    pub(super) fn admit(
        self: &Arc<Self>,
        peer: IpAddr,
        bounds: ConnectionBounds,
        is_low_on_descriptors: bool,
    ) -> Result<ConnectionPermit, ConnectionRefusal> {
        let (address, mut state) = (address_key(peer), self.state.lock());
        let of_address = state.per_address.get(&address).copied().unwrap_or(0);
        let rejected = match bounds.per_address_max {
            Some(max) if of_address >= max => (!state.evict(Some(address), bounds.closing_max))
                .then_some(ConnectionRefusal::AddressFull(max)),
            _ if is_low_on_descriptors || state.open.len() >= bounds.max => {
                (!state.evict(None, bounds.closing_max)).then_some(ConnectionRefusal::Full(state.open.len()))
            }
            _ => None,
        };
        if let Some(error) = rejected {
            state.report.connections_refused += 1;
            return Err(error);
        }
        let activity = Arc::new(Activity::new());
        let number = state.next_number;
        state.next_number += 1;
        state.open.insert(number, Entry { address, activity: activity.clone() });
        *state.per_address.entry(address).or_default() += 1;
        Ok(ConnectionPermit { registry: self.clone(), number, activity, is_counted: true })
    }

    /// Waits until at most `closing_max` evicted connections are open, and for at most [`EVICTION_WAIT_MAX`].
    pub(super) async fn wait_for_evicted(&self, closing_max: usize) {
        let all_closed = async {
            while self.closing() > closing_max {
                self.eviction_done.notified().await;
            }
        };
        // After the timeout, the descriptor limit still bounds the connections.
        let _ = timeout(EVICTION_WAIT_MAX, all_closed).await;
    }

    fn closing(&self) -> usize {
        self.state.lock().closing
    }

    /// Counts a connection that was refused for another reason.
    pub(super) fn count_refusal(&self) {
        self.state.lock().report.connections_refused += 1;
    }

    /// The number of open connections.
    pub(super) fn open(&self) -> usize {
        self.state.lock().open.len()
    }

    /// The counts so far. A connection that is still open is counted as aborted.
    pub(super) fn report(&self) -> ServeReport {
        let state = self.state.lock();
        let remaining = state.open.len() + state.closing;
        ServeReport { connections_aborted: state.report.connections_aborted + remaining, ..state.report }
    }
}

impl RegistryState {
    /// Evicts the longest idle connection, of `address` if given. Returns false if none is idle.
    fn evict(&mut self, address: Option<IpAddr>, closing_max: usize) -> bool {
        let candidates =
            self.open.iter().filter(|(_, entry)| address.is_none_or(|only| only == entry.address));
        let idle = candidates.filter_map(|(number, entry)| Some((entry.activity.idle_since()?, *number)));
        let Some((_, number)) = idle.min() else { return false };
        if let Some(entry) = self.remove(number) {
            self.closing += 1;
            entry.activity.evict(self.closing > closing_max);
        }
        true
    }

    fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.open.remove(&number)?;
        if let Some(count) = self.per_address.get_mut(&entry.address) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&entry.address);
            }
        }
        Some(entry)
    }
}

/// The address under which a peer is counted: an IPv4 address, or an IPv6 network.
fn address_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let mask = u128::MAX << (u128::BITS - IPV6_PREFIX_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
        v4 => v4,
    }
}

/// The permit of one open connection. Its slot is released when it is dropped or evicted.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    registry: Arc<ConnectionRegistry>,
    number: u64,
    activity: Arc<Activity>,
    is_counted: bool,
}

impl ConnectionPermit {
    /// The activity of the connection.
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Counts the connection as aborted by the shutdown with this many open requests, and releases its slot.
    pub(super) fn count_aborted(&mut self, open_requests: usize) {
        self.release();
        let mut state = self.registry.state.lock();
        state.report.connections_aborted += 1;
        state.report.requests_aborted += open_requests;
    }

    fn release(&mut self) {
        if std::mem::replace(&mut self.is_counted, false) {
            let mut state = self.registry.state.lock();
            if state.remove(self.number).is_none() {
                state.closing -= 1;
                self.registry.eviction_done.notify_one();
            }
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(
        registry: &Arc<ConnectionRegistry>,
        peer: &str,
        max: usize,
        per_address_max: usize,
    ) -> Result<ConnectionPermit, ConnectionRefusal> {
        let bounds = ConnectionBounds { max, per_address_max: Some(per_address_max), closing_max: 5 };
        registry.admit(peer.parse().expect("an address"), bounds, false)
    }

    #[test]
    fn a_new_connection_evicts_the_longest_idle_and_never_a_busy_one() {
        let registry = Arc::<ConnectionRegistry>::default();
        let busy = take(&registry, "10.0.0.1", 3, 9).expect("a free slot");
        busy.activity().begin_request();
        let older = take(&registry, "10.0.0.2", 3, 9).expect("a free slot");
        let newer = take(&registry, "10.0.0.3", 3, 9).expect("a free slot");
        let newcomer = take(&registry, "10.0.0.4", 3, 9).expect("the slot of the older");
        assert!(
            older.activity().is_evicted() && !newer.activity().is_evicted() && !busy.activity().is_evicted()
        );
        for permit in [&newer, &newcomer] {
            permit.activity().begin_request();
        }
        assert_eq!(take(&registry, "10.0.0.5", 3, 9).err(), Some(ConnectionRefusal::Full(3)));
        busy.activity().end_request();
        assert!(take(&registry, "10.0.0.5", 3, 9).is_ok() && busy.activity().is_evicted());
        drop((busy, older, newer, newcomer));
        assert_eq!(registry.report(), ServeReport { connections_refused: 1, ..ServeReport::default() });
    }

    #[test]
    fn an_address_at_its_limit_evicts_only_its_own_connections() {
        let registry = Arc::<ConnectionRegistry>::default();
        let other = take(&registry, "10.0.0.9", 9, 2).expect("a free slot");
        let first = take(&registry, "10.0.0.1", 9, 2).expect("a free slot");
        let second = take(&registry, "::ffff:10.0.0.1", 9, 2).expect("a free slot");
        let third = take(&registry, "10.0.0.1", 9, 2).expect("the slot of the first");
        assert!(first.activity().is_evicted() && !second.activity().is_evicted());
        for permit in [&second, &third] {
            permit.activity().begin_request();
        }
        assert_eq!(take(&registry, "10.0.0.1", 9, 2).err(), Some(ConnectionRefusal::AddressFull(2)));
        assert!(take(&registry, "10.0.0.2", 9, 2).is_ok());
        assert!(!other.activity().is_evicted());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_counted_as_one() {
        let peer = |text: &str| address_key(text.parse().expect("an address"));
        assert_eq!(peer("2001:db8:1:2:a::1"), peer("2001:db8:1:2:b::2"));
        assert_ne!(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
        assert_ne!(peer("10.0.0.1"), peer("10.0.0.2"));
    }

    #[test]
    fn evictions_beyond_closing_max_are_aborted() {
        let registry = Arc::<ConnectionRegistry>::default();
        let permits: Vec<_> = (0..5 + 2)
            .map(|_| take(&registry, "10.0.0.1", 1, 9).expect("the slot of the one before"))
            .collect();
        let aborted = permits.iter().filter(|permit| permit.activity().must_abort()).count();
        assert_eq!(aborted, 1);
    }
}
