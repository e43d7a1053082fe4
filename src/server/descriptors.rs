//! File descriptors: the limit of this process, and the reserve that connections may not use.
//!
//! A process without free descriptors cannot open its next log segment or start a program. Connections are refused before
//! that.

use std::fs::File;
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The reserve for the log, for programs and for outgoing connections, as a fraction of the limit: an eighth, within
/// [`RESERVE_MIN`] and [`RESERVE_MAX`].
const RESERVE_SHARE: u64 = 8;
const RESERVE_MIN: u64 = 32;
const RESERVE_MAX: u64 = 1024;

/// Most evicted connections that may be closing at the same time: this or a quarter of the reserve, whichever is less.
const CLOSING_MAX: u64 = 64;

/// Raises the soft limit of open descriptors to the hard limit. Returns the limit in force, `None` if there is none.
///
/// A program calls this before it serves. The library never calls it.
pub fn raise_descriptor_limit() -> Option<u64> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // After an error the soft limit stays in force and is returned.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    getrlimit(Resource::Nofile).current
}

/// The share of the descriptor limit that the connections of one listener may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Descriptors {
    /// The limit of the process; `None` if there is no limit.
    pub(super) limit: Option<u64>,
    /// Most connections that fit below the reserve, given the descriptors that are open now.
    pub(super) connections_max: usize,
    /// Most evicted connections that may be closing while new ones have their slots.
    pub(super) closing_max: usize,
}

impl Descriptors {
    /// The share at this moment.
    pub(super) fn now() -> Self {
        let lowest_free = File::open("/dev/null").map(|file| descriptor_number(&file));
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

    /// Whether the descriptor of the connection is part of the reserve. The system assigns the lowest free number, so all
    /// lower numbers are in use.
    pub(super) fn reaches_reserve(&self, connection: &TcpStream) -> bool {
        self.limit.is_some_and(|limit| descriptor_number(connection) >= limit - reserve(limit))
    }

    /// Whether half of the reserve is used. Then no connection is accepted, even in exchange for an evicted one.
    pub(super) fn is_reserve_half_used(&self, connection: &TcpStream) -> bool {
        self.limit.is_some_and(|limit| descriptor_number(connection) >= limit - reserve(limit) / 2)
    }
}

fn reserve(limit: u64) -> u64 {
    (limit / RESERVE_SHARE).clamp(RESERVE_MIN, RESERVE_MAX).min(limit)
}

fn descriptor_number(open: &impl AsRawFd) -> u64 {
    u64::try_from(open.as_raw_fd()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_a_reserve_of_descriptors() {
        for (limit, open, connections_max) in
            [(1_024, 30, 866), (64, 20, 12), (20_000, 30, 18_946), (40, 30, 1), (8, 7, 1)]
        {
            assert_eq!(Descriptors::of(Some(limit), open).connections_max, connections_max, "{limit}");
        }
        assert_eq!(Descriptors::of(None, 30).connections_max, usize::MAX);
    }
}
