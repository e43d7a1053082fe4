//! File descriptors: how many this process may have, and which of them connections must leave to others.
//!
//! A process out of descriptors cannot begin its next log segment or start a program. Connections are refused before.

use std::fs::File;
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The part of the limit that connections leave to the log, to programs and to outgoing connections: an eighth, but no
/// fewer and no more descriptors than these.
const RESERVE_SHARE: u64 = 8;
const RESERVE_MIN: u64 = 32;
const RESERVE_MAX: u64 = 1024;

/// Connections that may be closing at the same time, unless a quarter of the reserve is fewer.
const CLOSING_MAX: u64 = 64;

/// Raises the soft limit of open descriptors to the hard limit, and returns the limit in force; `None` if there is none.
///
/// For programs, before they serve: the library never does it by itself.
pub fn raise_descriptor_limit() -> Option<u64> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // A system that refuses leaves the soft limit, which is what is returned then.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    getrlimit(Resource::Nofile).current
}

/// What the limit leaves to the connections of one listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Descriptors {
    /// The limit of the process; none is no limit.
    pub(super) limit: Option<u64>,
    /// Connections that fit below the reserve, beside what is open now.
    pub(super) connections_max: usize,
    /// Connections that may still be closing while others have their places.
    pub(super) closing_max: usize,
}

impl Descriptors {
    /// As things are now.
    pub(super) fn now() -> Self {
        let lowest_free = File::open("/dev/null").map(|file| number_of(&file));
        Self::of(getrlimit(Resource::Nofile).current, lowest_free.unwrap_or(0))
    }

    fn of(limit: Option<u64>, open: u64) -> Self {
        let left = limit.map_or(u64::MAX, |limit| limit.saturating_sub(reserve(limit) + open).max(1));
        let closing = limit.map_or(CLOSING_MAX, |limit| (reserve(limit) / 4).min(CLOSING_MAX));
        Self {
            limit,
            connections_max: usize::try_from(left).unwrap_or(usize::MAX),
            closing_max: usize::try_from(closing).unwrap_or(usize::MAX),
        }
    }

    /// Whether the connection has a descriptor of the reserve. The system gives the lowest free number, so all below it
    /// are in use.
    pub(super) fn reaches_reserve(&self, connection: &TcpStream) -> bool {
        self.limit.is_some_and(|limit| number_of(connection) >= limit - reserve(limit))
    }

    /// Whether half of the reserve is gone as well: then nothing may be accepted in the place of what still closes.
    pub(super) fn is_nearly_gone(&self, connection: &TcpStream) -> bool {
        self.limit.is_some_and(|limit| number_of(connection) >= limit - reserve(limit) / 2)
    }
}

fn reserve(limit: u64) -> u64 {
    (limit / RESERVE_SHARE).clamp(RESERVE_MIN, RESERVE_MAX).min(limit)
}

fn number_of(open: &impl AsRawFd) -> u64 {
    u64::try_from(open.as_raw_fd()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_a_reserve_of_the_limit() {
        for (limit, open, connections_max) in
            [(1_024, 30, 866), (64, 20, 12), (20_000, 30, 18_946), (40, 30, 1), (8, 7, 1)]
        {
            assert_eq!(Descriptors::of(Some(limit), open).connections_max, connections_max, "{limit}");
        }
        assert_eq!(Descriptors::of(None, 30).connections_max, usize::MAX);
    }
}
