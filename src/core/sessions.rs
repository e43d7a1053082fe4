//! Worker sessions, their slots, and the groups of sessions that serve the same lanes.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::entry::LeaseId;
use super::lanes::{Lane, Standing};
use super::list::List;
use crate::job::{Kind, QueueName};

/// A worker session. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey(u64);

/// Sessions that serve the same kinds in the same queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct GroupKey(u64);

/// What a worker asks for when it opens a session.
#[derive(Debug, Clone)]
pub struct SessionSpec {
    /// For people: shown with each attempt.
    pub name: String,
    /// The kinds it has handlers for.
    pub kinds: Vec<Kind>,
    /// The queues it serves; all if `None`.
    pub queues: Option<Vec<QueueName>>,
    /// How many attempts it runs at a time.
    pub slots: u32,
}

pub(super) struct Session {
    pub(super) name: Arc<str>,
    pub(super) group: GroupKey,
    pub(super) slots: u32,
    /// Slots taken: by attempts that run and by revoked ones whose handler has not stopped yet.
    pub(super) taken: u32,
    /// Whether the session stands in its group's rotation of free sessions.
    pub(super) rotating: bool,
    pub(super) running: List,
    /// Leases taken back whose handler has not stopped yet.
    pub(super) revoked: HashSet<LeaseId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Served {
    kinds: BTreeSet<Arc<str>>,
    queues: Option<BTreeSet<Arc<str>>>,
}

impl Served {
    fn serves(&self, lane: &Lane) -> bool {
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
    pub(super) ready: BTreeSet<Standing>,
}

impl Group {
    pub(super) fn has_free_slot(&self) -> bool {
        !self.free.is_empty()
    }
}

#[derive(Default)]
pub(super) struct Sessions {
    pub(super) sessions: HashMap<SessionKey, Session>,
    pub(super) groups: HashMap<GroupKey, Group>,
    by_served: HashMap<Served, GroupKey>,
    next: u64,
}

impl Sessions {
    pub(super) fn get(&self, key: SessionKey) -> Option<&Session> {
        self.sessions.get(&key)
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

    /// Adds a session. The second answer is true if its group is new: then it knows of no lanes yet.
    pub(super) fn open(&mut self, spec: &SessionSpec) -> (SessionKey, bool) {
        let kinds = spec.kinds.iter().map(|kind| kind.as_str().into()).collect();
        let names = |queues: &Vec<QueueName>| queues.iter().map(|queue| queue.as_str().into()).collect();
        let served = Served { kinds, queues: spec.queues.as_ref().map(names) };
        let (group, is_new) = match self.by_served.get(&served) {
            Some(group) => (*group, false),
            None => (self.add_group(served), true),
        };
        let key = SessionKey(self.fresh());
        let session = Session {
            name: spec.name.as_str().into(),
            group,
            slots: spec.slots,
            taken: 0,
            rotating: false,
            running: List::default(),
            revoked: HashSet::new(),
        };
        self.group_mut(group).sessions += 1;
        self.sessions.insert(key, session);
        self.rotate_in(key);
        (key, is_new)
    }

    /// Removes a session that runs nothing any more, and answers it; and its group if that is gone with it.
    pub(super) fn close(&mut self, key: SessionKey) -> Option<(Session, Option<GroupKey>)> {
        let session = self.sessions.remove(&key)?;
        let group_key = session.group;
        let group = self.group_mut(group_key);
        group.free.retain(|free| *free != key);
        group.sessions -= 1;
        if group.sessions > 0 {
            return Some((session, None));
        }
        let group = self.groups.remove(&group_key)?;
        self.by_served.remove(&group.served);
        Some((session, Some(group_key)))
    }

    /// Groups that serve the lane, in the order of their keys.
    pub(super) fn groups_for(&self, lane: &Lane) -> Vec<GroupKey> {
        let serving = self.groups.iter().filter(|(_, group)| group.served.serves(lane));
        let mut keys: Vec<_> = serving.map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys
    }

    pub(super) fn serves(&self, group: GroupKey, lane: &Lane) -> bool {
        self.groups[&group].served.serves(lane)
    }

    /// Every kind that is served, in order.
    pub(super) fn kinds(&self) -> BTreeSet<Arc<str>> {
        self.groups.values().flat_map(|group| group.served.kinds.iter().cloned()).collect()
    }

    /// Takes a slot of the group's next free session.
    pub(super) fn take_slot(&mut self, group: GroupKey) -> Option<SessionKey> {
        let key = self.group_mut(group).free.pop_front()?;
        let session = self.sessions.get_mut(&key)?;
        session.taken += 1;
        session.rotating = false;
        self.rotate_in(key);
        Some(key)
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
            let group = session.group;
            self.group_mut(group).free.retain(|free| *free != key);
        }
        self.rotate_in(key);
    }

    fn rotate_in(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        if !session.rotating && session.taken < session.slots {
            session.rotating = true;
            let group = session.group;
            self.group_mut(group).free.push_back(key);
        }
    }

    fn add_group(&mut self, served: Served) -> GroupKey {
        let key = GroupKey(self.fresh());
        let group =
            Group { served: served.clone(), sessions: 0, free: VecDeque::new(), ready: BTreeSet::new() };
        self.groups.insert(key, group);
        self.by_served.insert(served, key);
        key
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
