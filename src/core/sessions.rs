//! Worker sessions, their slots, and the groups of sessions with the same capabilities.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};

use super::execution::ActiveAttempt;
use super::keys::{GroupKey, SessionKey};
use super::lanes::{Lane, Rank};
use super::list::List;
use super::record::{Instance, Link, Running};
use crate::clock::Now;
use crate::job::{LeaseId, Peer, QueueName, SessionSpec, Timestamp};

/// Estimated size of a session without its names, in bytes.
const SESSION_BYTES: usize = 1 << 10;
/// Estimated size of a name without its text, in all sets that contain it.
const NAME_BYTES: usize = 104;
/// Estimated size of a lease that a worker names, and of a refused end.
pub(super) const LEASE_BYTES: usize = 48;

/// Estimated size of a worker's session that names so many leases, in bytes.
pub(super) fn session_bytes(spec: &SessionSpec, peer: &Peer, leases: usize) -> u64 {
    let kinds = spec.kinds.iter().map(|kind| kind.as_str().len());
    let queues = spec.queues.iter().flatten().map(|queue| queue.as_str().len());
    let names: usize = kinds.chain(queues).map(|bytes| bytes + NAME_BYTES).sum();
    let principal = peer.principal.as_ref().map_or(0, |name| name.len());
    let texts = spec.name.len() + peer.sdk.len() + peer.address.len() + principal;
    (SESSION_BYTES + names + texts + leases * LEASE_BYTES) as u64
}

pub(super) struct Session {
    pub(super) name: Arc<str>,
    pub(super) link: Link,
    pub(super) peer: Peer,
    pub(super) capabilities: Capabilities,
    /// Set while the session receives jobs.
    pub(super) group: Option<GroupKey>,
    pub(super) slots: u32,
    /// Slots with which it was opened: of a Lease call, the number of jobs that it requested.
    pub(super) slots_requested: u32,
    /// Bytes of assignments that still fit into the response of a Lease call. `None` for other sessions.
    pub(super) bytes_left: Option<usize>,
    /// Slots in use: by the session's jobs, and by revoked attempts whose handler has not stopped yet.
    pub(super) taken: u32,
    /// Whether the session is in the queue of free sessions of its group.
    pub(super) in_rotation: bool,
    /// Its jobs: running ones and offered ones.
    pub(super) jobs: List,
    /// Revoked leases whose handler has not stopped yet.
    pub(super) revoked: HashSet<LeaseId>,
    pub(super) create_time: Timestamp,
    /// Whether the worker is connected.
    pub(super) connected: bool,
    /// Monotonic time by which a drained worker releases its jobs.
    pub(super) drain_deadline: Option<Duration>,
    /// Monotonic time of its last message.
    pub(super) last_seen: Duration,
    /// Monotonic time of its entry in the timers.
    pub(super) timer: Option<Duration>,
    /// The number of its newest report.
    pub(super) reports_taken: u64,
    /// The numbers and leases of the newest refused ends of attempts, oldest first.
    pub(super) refused_ends: VecDeque<(u64, LeaseId)>,
    /// It is not known which reports up to this one were refused, except `refused_ends`.
    pub(super) reports_unknown: u64,
    /// Its bytes, as they count against the bound of all workers.
    pub(super) bytes: u64,
}

impl Session {
    /// Whether this is the request of the Lease call that opened the session. After a restart only the name is known.
    pub(super) fn is_request(&self, spec: &SessionSpec, peer: &Peer) -> bool {
        let is_resumed = self.capabilities.kinds.is_empty();
        let is_same =
            || self.capabilities == Capabilities::of(spec, peer) && self.slots_requested == spec.slots;
        *self.name == *spec.name && (is_resumed || is_same())
    }

    /// The instance of the worker, if it has a stream.
    pub(super) fn instance(&self) -> Option<Instance> {
        match self.link {
            Link::Stream(id) => Some(Instance { id, principal: self.peer.principal.clone() }),
            Link::Pool | Link::Unary(_) => None,
        }
    }

    /// Whether an assignment of this size fits into the response. The first one always fits.
    fn fits(&self, bytes: usize) -> bool {
        self.jobs.is_empty() || self.bytes_left.is_none_or(|left| bytes <= left)
    }
}

/// The kinds and queues of a session, and its largest assignment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Capabilities {
    pub(super) kinds: BTreeSet<Arc<str>>,
    pub(super) queues: Option<BTreeSet<Arc<str>>>,
    pub(super) assignment_bytes_max: usize,
}

impl Capabilities {
    pub(super) fn of(spec: &SessionSpec, peer: &Peer) -> Self {
        let kinds = spec.kinds.iter().map(|kind| kind.as_str().into()).collect();
        let names = |queues: &Vec<QueueName>| queues.iter().map(|queue| queue.as_str().into()).collect();
        let queues = spec.queues.as_ref().map(names);
        Self { kinds, queues, assignment_bytes_max: peer.assignment_bytes_max }
    }

    /// Whether it can receive the jobs of the lane, which are all larger than `lane.bytes_above`.
    fn serves(&self, lane: &Lane) -> bool {
        self.assignment_bytes_max > lane.bytes_above && self.matches(lane)
    }

    /// Whether it has the lane's kind and queue.
    fn matches(&self, lane: &Lane) -> bool {
        self.kinds.contains(&lane.kind)
            && self.queues.as_ref().is_none_or(|queues| queues.contains(&lane.queue))
    }
}

pub(super) struct Group {
    capabilities: Capabilities,
    pub(super) sessions: u32,
    /// Sessions with a free slot, in the order in which they receive jobs.
    pub(super) free: VecDeque<SessionKey>,
    /// Lanes with ready jobs.
    pub(super) ready: BTreeSet<Rank>,
    /// The number of the last assignment. The group with the smallest number is next.
    pub(super) last_assigned: u64,
}

impl Group {
    pub(super) fn has_free_slot(&self) -> bool {
        !self.free.is_empty()
    }

    /// Largest assignment that its sessions can read, in bytes.
    pub(super) fn assignment_bytes_max(&self) -> usize {
        self.capabilities.assignment_bytes_max
    }

    /// Whether its sessions have a limit on the size of assignments.
    fn is_limited(&self) -> bool {
        self.capabilities.assignment_bytes_max < usize::MAX
    }
}

#[derive(Default)]
pub(super) struct Sessions {
    pub(super) sessions: HashMap<SessionKey, Session>,
    pub(super) groups: HashMap<GroupKey, Group>,
    by_capabilities: HashMap<Capabilities, GroupKey>,
    /// Sessions whose worker can reconnect, or repeat its Lease call, by link and principal.
    by_link: HashMap<(Link, Option<Arc<str>>), SessionKey>,
    /// When the timers of sessions fire.
    pub(super) timers: BTreeSet<(Duration, SessionKey)>,
    next: u64,
    /// Groups with a limit on the size of assignments.
    limited_groups: u32,
    /// Estimated bytes of all sessions.
    pub(super) bytes: u64,
    /// The number of assignments so far.
    turns: u64,
}

impl Sessions {
    pub(super) fn get(&self, key: SessionKey) -> Option<&Session> {
        self.sessions.get(&key)
    }

    /// The attempt as it is recorded.
    pub(super) fn running(&self, active: &ActiveAttempt) -> Option<Running> {
        let session = self.get(active.session)?;
        Some(Running {
            lease: active.lease,
            link: session.link.clone(),
            worker: session.name.clone(),
            principal: session.peer.principal.clone(),
            attempt_deadline: active.attempt_deadline.into(),
            cancel: active.cancel.as_deref().cloned(),
        })
    }

    pub(super) fn get_mut(&mut self, key: SessionKey) -> Option<&mut Session> {
        self.sessions.get_mut(&key)
    }

    pub(super) fn group(&self, key: GroupKey) -> &Group {
        &self.groups[&key]
    }

    pub(super) fn group_mut(&mut self, key: GroupKey) -> &mut Group {
        self.groups.get_mut(&key).expect("a group exists while it has sessions")
    }

    /// The group of a session that receives jobs.
    pub(super) fn group_of(&self, key: SessionKey) -> Option<GroupKey> {
        self.get(key)?.group
    }

    /// The session with this link, which identifies it among those of the principal.
    pub(super) fn of_link(&self, link: Link, principal: Option<&Arc<str>>) -> Option<SessionKey> {
        self.by_link.get(&(link, principal.cloned())).copied()
    }

    /// Adds a session without a group.
    pub(super) fn open(&mut self, now: Now, spec: &SessionSpec, link: Link, peer: Peer) -> SessionKey {
        let key = SessionKey(self.next_key());
        let bytes = session_bytes(spec, &peer, 0);
        self.bytes += bytes;
        if link.is_unique() {
            self.by_link.insert((link.clone(), peer.principal.clone()), key);
        }
        let capabilities = Capabilities::of(spec, &peer);
        let bytes_left = link.is_unary().then_some(peer.response_bytes_max);
        let session = Session {
            name: spec.name.as_str().into(),
            link,
            peer,
            capabilities,
            group: None,
            slots: spec.slots,
            slots_requested: spec.slots,
            bytes_left,
            taken: 0,
            in_rotation: false,
            jobs: List::default(),
            revoked: HashSet::new(),
            create_time: now.wall,
            connected: true,
            drain_deadline: None,
            last_seen: now.monotonic,
            timer: None,
            reports_taken: 0,
            refused_ends: VecDeque::new(),
            reports_unknown: 0,
            bytes,
        };
        self.sessions.insert(key, session);
        key
    }

    /// Sets the estimated bytes of a session.
    pub(super) fn set_bytes(&mut self, key: SessionKey, bytes: u64) {
        if let Some(session) = self.sessions.get_mut(&key) {
            self.bytes = self.bytes - std::mem::replace(&mut session.bytes, bytes) + bytes;
        }
    }

    /// Removes a session that has no group and no jobs.
    pub(super) fn remove(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.remove(&key) else { return };
        self.bytes -= session.bytes;
        if session.link.is_unique() {
            self.by_link.remove(&(session.link, session.peer.principal));
        }
        if let Some(timer) = session.timer {
            self.timers.remove(&(timer, key));
        }
    }

    /// Adds the session to the group with its capabilities. Returns the group, and whether it is new: a new group is
    /// not connected to lanes yet.
    pub(super) fn join(&mut self, key: SessionKey) -> Option<(GroupKey, bool)> {
        let capabilities = self.get(key).filter(|session| session.group.is_none())?.capabilities.clone();
        let (group, is_new) = match self.by_capabilities.get(&capabilities) {
            Some(group) => (*group, false),
            None => (self.add_group(capabilities), true),
        };
        self.group_mut(group).sessions += 1;
        self.get_mut(key)?.group = Some(group);
        self.join_rotation(key);
        Some((group, is_new))
    }

    /// Removes the session from its group. Returns the group if it was removed too.
    pub(super) fn leave(&mut self, key: SessionKey) -> Option<GroupKey> {
        let session = self.sessions.get_mut(&key)?;
        let group_key = session.group.take()?;
        session.in_rotation = false;
        let group = self.group_mut(group_key);
        group.free.retain(|free| *free != key);
        group.sessions -= 1;
        if group.sessions > 0 {
            return None;
        }
        let group = self.groups.remove(&group_key)?;
        self.by_capabilities.remove(&group.capabilities);
        self.limited_groups -= u32::from(group.is_limited());
        Some(group_key)
    }

    /// Groups that serve the lane, ordered by key.
    pub(super) fn groups_for(&self, lane: &Lane) -> Vec<GroupKey> {
        let serving = self.groups.iter().filter(|(_, group)| group.capabilities.serves(lane));
        let mut keys: Vec<_> = serving.map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys
    }

    /// Whether any session has the lane's kind and queue, with any size limit.
    pub(super) fn any_matches(&self, lane: &Lane) -> bool {
        self.groups.values().any(|group| group.capabilities.matches(lane))
    }

    /// Whether any session has a limit on the size of assignments.
    pub(super) fn is_any_limited(&self) -> bool {
        self.limited_groups > 0
    }

    pub(super) fn serves(&self, group: GroupKey, lane: &Lane) -> bool {
        self.groups[&group].capabilities.serves(lane)
    }

    /// Every kind that is served, in order.
    pub(super) fn kinds(&self) -> BTreeSet<Arc<str>> {
        self.groups.values().flat_map(|group| group.capabilities.kinds.iter().cloned()).collect()
    }

    /// Reserves a slot of the group's next free session for an assignment of this size. A session with a response that
    /// is too full receives no further jobs. Returns `None` if no session is free.
    pub(super) fn take_slot(&mut self, group: GroupKey, bytes: usize) -> Option<SessionKey> {
        self.turns += 1;
        let turn = self.turns;
        loop {
            let group = self.group_mut(group);
            let key = group.free.pop_front()?;
            group.last_assigned = turn;
            let session = self.sessions.get_mut(&key)?;
            session.in_rotation = false;
            if !session.fits(bytes) {
                session.slots = session.taken;
                continue;
            }
            session.bytes_left = session.bytes_left.map(|left| left.saturating_sub(bytes));
            session.taken += 1;
            self.join_rotation(key);
            return Some(key);
        }
    }

    /// Frees a slot.
    pub(super) fn free_slot(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(&key) {
            session.taken -= 1;
            self.join_rotation(key);
        }
    }

    /// Sets how many attempts a session runs at a time. Attempts above that number are not stopped.
    pub(super) fn set_slots(&mut self, key: SessionKey, slots: u32) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        session.slots = slots;
        if session.in_rotation && session.taken >= slots {
            session.in_rotation = false;
            if let Some(group) = session.group {
                self.group_mut(group).free.retain(|free| *free != key);
            }
        }
        self.join_rotation(key);
    }

    /// Replaces the session's timer.
    pub(super) fn set_timer(&mut self, key: SessionKey, timer: Option<Duration>) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        if let Some(before) = std::mem::replace(&mut session.timer, timer) {
            self.timers.remove(&(before, key));
        }
        if let Some(timer) = timer {
            self.timers.insert((timer, key));
        }
    }

    /// Returns the group for the next assignment: of those that have a free slot and can read so many bytes, the one
    /// whose last assignment is oldest.
    pub(super) fn next_group(&self, groups: &[GroupKey], bytes: usize) -> Option<GroupKey> {
        let free = groups.iter().filter_map(|key| {
            let group = self.group(*key);
            let can_take = group.has_free_slot() && bytes <= group.assignment_bytes_max();
            can_take.then_some((group.last_assigned, *key))
        });
        free.min().map(|(_, key)| key)
    }

    /// Every session, oldest first.
    pub(super) fn in_order(&self) -> Vec<SessionKey> {
        let mut keys: Vec<_> = self.sessions.keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    fn join_rotation(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let Some(group) = session.group else { return };
        if !session.in_rotation && session.taken < session.slots {
            session.in_rotation = true;
            self.group_mut(group).free.push_back(key);
        }
    }

    fn add_group(&mut self, capabilities: Capabilities) -> GroupKey {
        let key = GroupKey(self.next_key());
        let group = Group {
            capabilities: capabilities.clone(),
            sessions: 0,
            free: VecDeque::new(),
            ready: BTreeSet::new(),
            last_assigned: 0,
        };
        self.limited_groups += u32::from(group.is_limited());
        self.groups.insert(key, group);
        self.by_capabilities.insert(capabilities, key);
        key
    }

    fn next_key(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
