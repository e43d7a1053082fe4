//! Worker sessions, their slots, and the groups of sessions that serve the same lanes.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use uuid::Uuid;

use super::course::Live;
use super::keys::{GroupKey, SessionKey};
use super::lanes::{Lane, Rank};
use super::list::List;
use super::record::{Link, Running};
use crate::clock::Now;
use crate::job::{LeaseId, Peer, QueueName, SessionSpec, Timestamp};

/// What a session is taken to cost beside its names, in bytes.
const SESSION_BYTES: usize = 1 << 10;
/// What a name is taken to cost beside its text: itself, and its places in the sets that hold it.
const NAME_BYTES: usize = 104;
/// What a lease that a worker names is taken to cost.
const LEASE_BYTES: usize = 48;

/// Bytes that a worker's session is estimated to hold. The worker names so many leases.
pub(super) fn session_bytes(spec: &SessionSpec, peer: &Peer, leases: usize) -> u64 {
    let kinds = spec.kinds.iter().map(|kind| kind.as_str().len());
    let queues = spec.queues.iter().flatten().map(|queue| queue.as_str().len());
    let names: usize = kinds.chain(queues).map(|bytes| bytes + NAME_BYTES).sum();
    let texts = spec.name.len() + peer.sdk.len() + peer.address.len();
    (SESSION_BYTES + names + texts + leases * LEASE_BYTES) as u64
}

pub(super) struct Session {
    pub(super) name: Arc<str>,
    pub(super) link: Link,
    pub(super) peer: Peer,
    pub(super) served: Served,
    /// While it may be given jobs.
    pub(super) group: Option<GroupKey>,
    pub(super) slots: u32,
    /// Bytes of assignments that the session may still be given, if they have a bound: those of one Lease call do.
    pub(super) bytes_left: Option<usize>,
    /// Slots taken: by attempts it holds and by revoked ones whose handler has not stopped yet.
    pub(super) taken: u32,
    /// Whether the session stands in its group's rotation of free sessions.
    pub(super) rotating: bool,
    /// Jobs it was given: those that run, and those it has not accepted yet.
    pub(super) held: List,
    /// Leases taken back whose handler has not stopped yet.
    pub(super) revoked: HashSet<LeaseId>,
    pub(super) create_time: Timestamp,
    /// Whether orders reach it.
    pub(super) connected: bool,
    /// Monotonic time by which a drained worker gives back what it has.
    pub(super) drained: Option<Duration>,
    /// Monotonic time at which it was last heard of.
    pub(super) heard: Duration,
    /// Monotonic time at which the session is looked at again, as it stands among the sessions' timers.
    pub(super) timer: Option<Duration>,
    /// The newest report that was taken.
    pub(super) reports_taken: u64,
    /// What it counts against the bound of all workers.
    pub(super) bytes: u64,
}

impl Session {
    /// Whether an assignment of this size can be added to what the session was given. The first one always can.
    fn has_room_for(&self, bytes: usize) -> bool {
        self.held.is_empty() || self.bytes_left.is_none_or(|left| bytes <= left)
    }
}

/// The kinds and queues a session serves, and how large an assignment may be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Served {
    pub(super) kinds: BTreeSet<Arc<str>>,
    pub(super) queues: Option<BTreeSet<Arc<str>>>,
    pub(super) assignment_bytes_max: usize,
}

impl Served {
    pub(super) fn of(spec: &SessionSpec, peer: &Peer) -> Self {
        let kinds = spec.kinds.iter().map(|kind| kind.as_str().into()).collect();
        let names = |queues: &Vec<QueueName>| queues.iter().map(|queue| queue.as_str().into()).collect();
        let queues = spec.queues.as_ref().map(names);
        Self { kinds, queues, assignment_bytes_max: peer.assignment_bytes_max }
    }

    /// Whether it may take jobs of the lane: all of them are larger than the lane's floor.
    fn serves(&self, lane: &Lane) -> bool {
        self.assignment_bytes_max > lane.floor && self.names(lane)
    }

    /// Whether it serves the lane's kind and queue.
    fn names(&self, lane: &Lane) -> bool {
        self.kinds.contains(&lane.kind)
            && self.queues.as_ref().is_none_or(|queues| queues.contains(&lane.queue))
    }
}

pub(super) struct Group {
    served: Served,
    pub(super) sessions: u32,
    /// Sessions with a free slot, in the order in which they get the next jobs.
    pub(super) free: VecDeque<SessionKey>,
    /// Lanes with ready jobs.
    pub(super) ready: BTreeSet<Rank>,
    /// When the group was given a job last; the one given a job longest ago comes first among those with free slots.
    pub(super) given: u64,
}

impl Group {
    pub(super) fn has_free_slot(&self) -> bool {
        !self.free.is_empty()
    }

    /// Largest assignment its sessions read, in bytes.
    pub(super) fn assignment_bytes_max(&self) -> usize {
        self.served.assignment_bytes_max
    }

    /// Whether there are assignments that its sessions do not read.
    fn is_limited(&self) -> bool {
        self.served.assignment_bytes_max < usize::MAX
    }
}

#[derive(Default)]
pub(super) struct Sessions {
    pub(super) sessions: HashMap<SessionKey, Session>,
    pub(super) groups: HashMap<GroupKey, Group>,
    by_served: HashMap<Served, GroupKey>,
    by_instance: HashMap<Uuid, SessionKey>,
    /// When sessions are looked at again.
    pub(super) timers: BTreeSet<(Duration, SessionKey)>,
    next: u64,
    /// Groups with a bound of their assignments' bytes.
    limited_groups: u32,
    /// Bytes that all sessions are taken to hold.
    pub(super) bytes: u64,
    /// Counts slots taken, to take turns between groups.
    turns: u64,
}

impl Sessions {
    pub(super) fn get(&self, key: SessionKey) -> Option<&Session> {
        self.sessions.get(&key)
    }

    /// The attempt, as it is recorded.
    pub(super) fn running(&self, live: &Live) -> Option<Running> {
        let session = self.get(live.session)?;
        Some(Running {
            lease: live.lease,
            link: session.link.clone(),
            worker: session.name.clone(),
            attempt_deadline: live.attempt_deadline.into(),
            cancel: live.cancel.as_deref().cloned(),
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

    /// The session's group while it may be given jobs.
    pub(super) fn group_of(&self, key: SessionKey) -> Option<GroupKey> {
        self.get(key)?.group
    }

    pub(super) fn of_instance(&self, instance: Uuid) -> Option<SessionKey> {
        self.by_instance.get(&instance).copied()
    }

    /// Adds a session that is in no group yet.
    pub(super) fn open(&mut self, now: Now, spec: &SessionSpec, link: Link, peer: Peer) -> SessionKey {
        let key = SessionKey(self.fresh());
        let bytes = session_bytes(spec, &peer, 0);
        self.bytes += bytes;
        if let Link::Stream(instance) = link {
            self.by_instance.insert(instance, key);
        }
        let served = Served::of(spec, &peer);
        let bytes_left = (link == Link::Unary).then_some(peer.response_bytes_max);
        let session = Session {
            name: spec.name.as_str().into(),
            link,
            peer,
            served,
            group: None,
            slots: spec.slots,
            bytes_left,
            taken: 0,
            rotating: false,
            held: List::default(),
            revoked: HashSet::new(),
            create_time: now.wall,
            connected: true,
            drained: None,
            heard: now.monotonic,
            timer: None,
            reports_taken: 0,
            bytes,
        };
        self.sessions.insert(key, session);
        key
    }

    /// Counts a session anew that says again what it serves.
    pub(super) fn set_bytes(&mut self, key: SessionKey, bytes: u64) {
        if let Some(session) = self.sessions.get_mut(&key) {
            self.bytes = self.bytes - std::mem::replace(&mut session.bytes, bytes) + bytes;
        }
    }

    /// Removes a session that is in no group and holds nothing any more.
    pub(super) fn remove(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.remove(&key) else { return };
        self.bytes -= session.bytes;
        if let Link::Stream(instance) = session.link {
            self.by_instance.remove(&instance);
        }
        if let Some(timer) = session.timer {
            self.timers.remove(&(timer, key));
        }
    }

    /// Puts the session in the group that serves what it serves. The second answer is true if the group is new: then it
    /// knows of no lanes yet.
    pub(super) fn join(&mut self, key: SessionKey) -> Option<(GroupKey, bool)> {
        let served = self.get(key).filter(|session| session.group.is_none())?.served.clone();
        let (group, is_new) = match self.by_served.get(&served) {
            Some(group) => (*group, false),
            None => (self.add_group(served), true),
        };
        self.group_mut(group).sessions += 1;
        self.get_mut(key)?.group = Some(group);
        self.rotate_in(key);
        Some((group, is_new))
    }

    /// Takes the session out of its group, and answers the group if that is gone with it.
    pub(super) fn leave(&mut self, key: SessionKey) -> Option<GroupKey> {
        let session = self.sessions.get_mut(&key)?;
        let group_key = session.group.take()?;
        session.rotating = false;
        let group = self.group_mut(group_key);
        group.free.retain(|free| *free != key);
        group.sessions -= 1;
        if group.sessions > 0 {
            return None;
        }
        let group = self.groups.remove(&group_key)?;
        self.by_served.remove(&group.served);
        self.limited_groups -= u32::from(group.is_limited());
        Some(group_key)
    }

    /// Groups that serve the lane, in the order of their keys.
    pub(super) fn groups_for(&self, lane: &Lane) -> Vec<GroupKey> {
        let serving = self.groups.iter().filter(|(_, group)| group.served.serves(lane));
        let mut keys: Vec<_> = serving.map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys
    }

    /// Whether any session may be given jobs of the lane's kind and queue, however small.
    pub(super) fn any_names(&self, lane: &Lane) -> bool {
        self.groups.values().any(|group| group.served.names(lane))
    }

    /// Whether the size of an assignment matters to any session.
    pub(super) fn is_any_limited(&self) -> bool {
        self.limited_groups > 0
    }

    pub(super) fn serves(&self, group: GroupKey, lane: &Lane) -> bool {
        self.groups[&group].served.serves(lane)
    }

    /// Every kind that is served, in order.
    pub(super) fn kinds(&self) -> BTreeSet<Arc<str>> {
        self.groups.values().flat_map(|group| group.served.kinds.iter().cloned()).collect()
    }

    /// Takes a slot of the group's next free session for an assignment of this many bytes. A session whose answer it does
    /// not fit any more is given nothing further; `None` if no other is free.
    pub(super) fn take_slot(&mut self, group: GroupKey, bytes: usize) -> Option<SessionKey> {
        self.turns += 1;
        let turn = self.turns;
        loop {
            let group = self.group_mut(group);
            let key = group.free.pop_front()?;
            group.given = turn;
            let session = self.sessions.get_mut(&key)?;
            session.rotating = false;
            if !session.has_room_for(bytes) {
                session.slots = session.taken;
                continue;
            }
            session.bytes_left = session.bytes_left.map(|left| left.saturating_sub(bytes));
            session.taken += 1;
            self.rotate_in(key);
            return Some(key);
        }
    }

    /// Gives a slot back.
    pub(super) fn free_slot(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(&key) {
            session.taken -= 1;
            self.rotate_in(key);
        }
    }

    /// Changes how many attempts a session runs at a time; more than that finish first.
    pub(super) fn set_slots(&mut self, key: SessionKey, slots: u32) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        session.slots = slots;
        if session.rotating && session.taken >= slots {
            session.rotating = false;
            if let Some(group) = session.group {
                self.group_mut(group).free.retain(|free| *free != key);
            }
        }
        self.rotate_in(key);
    }

    /// Has the session looked at again at this time, in place of the one it had.
    pub(super) fn set_timer(&mut self, key: SessionKey, timer: Option<Duration>) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        if let Some(before) = std::mem::replace(&mut session.timer, timer) {
            self.timers.remove(&(before, key));
        }
        if let Some(timer) = timer {
            self.timers.insert((timer, key));
        }
    }

    /// Of these groups, the one to be given the next job, whose assignment takes so many bytes: it reads that, has a free
    /// slot and was given one longest ago.
    pub(super) fn next_in_turn(&self, groups: &[GroupKey], bytes: usize) -> Option<GroupKey> {
        let free = groups.iter().filter_map(|key| {
            let group = self.group(*key);
            let can_take = group.has_free_slot() && bytes <= group.assignment_bytes_max();
            can_take.then_some((group.given, *key))
        });
        free.min().map(|(_, key)| key)
    }

    /// Every session, oldest first.
    pub(super) fn in_order(&self) -> Vec<SessionKey> {
        let mut keys: Vec<_> = self.sessions.keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    fn rotate_in(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let Some(group) = session.group else { return };
        if !session.rotating && session.taken < session.slots {
            session.rotating = true;
            self.group_mut(group).free.push_back(key);
        }
    }

    fn add_group(&mut self, served: Served) -> GroupKey {
        let key = GroupKey(self.fresh());
        let group = Group {
            served: served.clone(),
            sessions: 0,
            free: VecDeque::new(),
            ready: BTreeSet::new(),
            given: 0,
        };
        self.limited_groups += u32::from(group.is_limited());
        self.groups.insert(key, group);
        self.by_served.insert(served, key);
        key
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
