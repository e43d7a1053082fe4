//! Invariants between two commands, computed by scans of all jobs.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::callers::{Caller, CallerKey};
use crate::core::entry::Entry;
use crate::core::moment::Moment;
use crate::core::record::Link;
use crate::core::retention::WATCHED_BYTES_MAX;
use crate::core::{Core, JobKey};
use crate::job::{JobState, Start, StateCounts};

pub(super) fn check(core: &Core) {
    let keys: Vec<JobKey> = core.table.order.before(core.table.order.next).collect();
    let entries: Vec<&Entry> = keys.iter().map(|key| &core.table[*key]).collect();
    assert_eq!(keys.len(), core.table.len() as usize);
    assert!(entries.is_sorted_by(|newer, older| newer.accepted > older.accepted));
    check_sums(core, &entries);
    check_callers(core, &entries);
    check_lanes(core, &entries);
    check_series(core);
    check_sessions(core);
    check_leases(core, &entries);
    check_readiness(core);
    let timers = keys.iter().map(|key| (core.table[*key].timer, *key));
    assert_eq!(core.timers, timers.filter(|(timer, _)| *timer != Moment::NEVER).collect());
    keys.iter().for_each(|key| check_job(core, *key));
}

fn check_sums(core: &Core, entries: &[&Entry]) {
    let live = || entries.iter().filter(|entry| !entry.state.is_final());
    assert_eq!(core.live_jobs as usize, live().count());
    assert_eq!(core.live_bytes, live().map(|entry| entry.live_bytes()).sum::<u64>());
    assert_eq!(core.submitted_bytes, live().map(|entry| entry.submitted_bytes()).sum::<u64>());
    let finished: Vec<_> = entries.iter().filter(|entry| entry.state.is_final()).collect();
    assert_eq!(core.finished.bytes, finished.iter().map(|entry| entry.weight()).sum::<u64>());
    assert_eq!(core.finished.list.keys(&core.table).len(), finished.len());
    assert_eq!(core.finished.evictable_bytes, evictable_bytes(core));
    let watched_max = if finished.iter().any(|entry| entry.is_watched()) { WATCHED_BYTES_MAX } else { 0 };
    assert!(core.finished.bytes <= core.options.retention_bytes_max + watched_max || finished.len() == 1);
    let waits_for_wall = |entry: &&&Entry| {
        entry.attempt() == 0 && entry.state == JobState::Scheduled && matches!(entry.start(), Start::At(_))
    };
    assert_eq!(core.wall_starts.len(), entries.iter().filter(waits_for_wall).count());
}

/// Checks the usage of each caller, and that no caller is stored without a job or a lane.
fn check_callers(core: &Core, entries: &[&Entry]) {
    for (key, caller, held, stored) in core.callers.all() {
        let own = || entries.iter().filter(|entry| entry.caller == key);
        let live = || own().filter(|entry| !entry.state.is_final());
        assert_eq!(stored as usize, own().count());
        assert_eq!(held.jobs as usize, live().count());
        assert_eq!(held.bytes, live().map(|entry| entry.submitted_bytes()).sum::<u64>());
        let lanes = core.lanes.keys().into_iter().filter(|lane| core.lanes[*lane].creator == key).count();
        assert_eq!(held.lanes as usize, lanes);
        let is_connection = matches!(caller, Caller::Connection(_));
        assert!(!is_connection || stored == held.jobs, "an ended job does not refer to a connection");
        let is_used = stored > 0 || lanes > 0 || key == core.callers.current();
        assert!(is_used || key == CallerKey::EMBEDDER, "a caller without jobs and lanes is removed");
    }
}

/// Returns the evictable bytes: those of jobs that the eviction scan has not reached.
fn evictable_bytes(core: &Core) -> u64 {
    let list = core.finished.list.keys(&core.table);
    let from = list.iter().position(|key| Some(*key) == core.finished.next_eviction);
    let (passed, resident) = list.split_at(from.unwrap_or(list.len()));
    let bytes = |keys: &[JobKey]| keys.iter().map(|key| core.table[*key].evictable_bytes()).sum::<u64>();
    assert!(core.log_entry.is_none() || bytes(passed) == 0, "all jobs behind the eviction scan are evicted");
    bytes(resident)
}

/// Checks that the series count the jobs of their lanes.
fn check_series(core: &Core) {
    let mut counts: BTreeMap<usize, StateCounts> = BTreeMap::new();
    for lane in core.lanes.keys() {
        let lane = &core.lanes[lane];
        counts.entry(lane.series.index()).or_default().add_all(&lane.counts);
    }
    for (index, counted) in core.lanes.stats.counts().enumerate() {
        assert_eq!(counted, counts.remove(&index).unwrap_or_default(), "series {index}");
    }
    assert!(counts.is_empty());
}

fn check_lanes(core: &Core, entries: &[&Entry]) {
    let mut counts: BTreeMap<_, StateCounts> = BTreeMap::new();
    entries.iter().for_each(|entry| counts.entry(entry.lane).or_default().add(entry.state));
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), core.lanes.keys(), "every lane has jobs");
    for (lane, counts) in counts {
        assert_eq!(core.lanes[lane].counts, counts);
        let (queue, kind) = (&core.lanes[lane].queue, &core.lanes[lane].kind);
        let of_queue = &core.lanes.queues[queue];
        match core.lanes[lane].bytes_above {
            0 => assert_eq!(of_queue.lanes[kind], lane),
            bytes_above => assert_eq!(of_queue.oversize[&(kind.clone(), bytes_above)], lane),
        }
        let ready = &core.lanes[lane].ready;
        let waiting: usize = ready.values().map(|list| list.keys(&core.table).len()).sum();
        let offered = entries.iter().filter(|entry| entry.lane == lane && entry.is_offered()).count();
        assert_eq!(waiting + offered, counts.get(JobState::Queued) as usize);
    }
    for queue in core.lanes.queues.values() {
        assert!(queue.paused || queue.all().next().is_some(), "an idle queue is removed");
    }
}

fn check_sessions(core: &Core) {
    for (key, session) in &core.sessions.sessions {
        let held = session.jobs.keys(&core.table).len();
        assert_eq!(session.taken as usize, held + session.revoked.len());
        assert_eq!(session.group.is_some(), session.connected && session.drain_deadline.is_none());
        assert_eq!(session.in_rotation, session.group.is_some() && session.taken < session.slots);
        let groups = session.group.iter().map(|group| core.sessions.group(*group));
        let turns = groups.flat_map(|group| &group.free).filter(|free| *free == key).count();
        assert_eq!(turns, usize::from(session.in_rotation));
        assert_eq!(session.timer.is_some(), matches!(session.link, Link::Stream(_)));
        assert!(session.timer.is_none_or(|timer| core.sessions.timers.contains(&(timer, *key))));
    }
    for (key, session) in &core.sessions.sessions {
        let known = session.link.is_unique().then_some(*key);
        let found = core.sessions.of_link(session.link.clone(), session.peer.principal.as_ref());
        assert_eq!(found, known, "a link and a principal identify one session");
    }
    let timers = core.sessions.sessions.values().filter(|session| session.timer.is_some()).count();
    assert_eq!(core.sessions.timers.len(), timers);
    assert_eq!(
        core.sessions.bytes,
        core.sessions.sessions.values().map(|session| session.bytes).sum::<u64>()
    );
    for (key, group) in &core.sessions.groups {
        let sessions = core.sessions.sessions.values().filter(|session| session.group == Some(*key)).count();
        assert!(sessions > 0 && sessions == group.sessions as usize);
    }
}

/// Checks that each job in a session has one lease of its own and that an offered attempt has not started.
fn check_leases(core: &Core, entries: &[&Entry]) {
    let live = || entries.iter().filter_map(|entry| entry.active().map(|live| (*entry, live)));
    let leases: BTreeSet<_> = live().map(|(_, live)| live.lease.to_string()).collect();
    assert_eq!(leases.len(), live().count(), "no two jobs share a lease");
    for (entry, live) in live() {
        let session = &core.sessions.sessions[&live.session];
        let is_pool = session.link == Link::Pool;
        assert_eq!(entry.deadline, live.deadline(), "its timer is set to the earliest deadline");
        assert_eq!(is_pool, live.lease_deadline == Moment::NEVER, "only leases of remote workers expire");
        assert_eq!(entry.cancel_requested, live.cancel.is_some());
        if entry.is_offered() {
            assert!(!is_pool && session.connected, "only a connected remote worker is offered a job");
            assert!(
                live.attempt_deadline == Moment::NEVER && live.cancel.is_none(),
                "the attempt has not started"
            );
        }
    }
    for (key, session) in &core.sessions.sessions {
        let held = session.jobs.keys(&core.table);
        let is_own = |job: &JobKey| core.table[*job].active().is_some_and(|live| live.session == *key);
        assert!(held.iter().all(is_own), "a session holds only its own leases");
        assert!(
            !session.link.is_unary() || session.connected || !held.is_empty(),
            "a session without work is still known"
        );
    }
}

/// Checks the ready lanes of each group, and that no group has both a free slot and a ready lane.
fn check_readiness(core: &Core) {
    let mut ready: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for key in core.lanes.keys() {
        let lane = &core.lanes[key];
        assert_eq!(lane.groups, core.sessions.groups_for(lane));
        let first = lane.first().filter(|_| !core.draining && !lane.paused);
        assert_eq!(
            lane.rank.map(|rank| (-rank.negated_priority, rank.last_served, rank.lane)),
            first.map(|(priority, _)| (i16::from(priority), lane.last_served, key))
        );
        for group in &lane.groups {
            ready.entry(*group).or_default().extend(lane.rank);
        }
    }
    for (key, group) in &core.sessions.groups {
        assert_eq!(group.ready, ready.remove(key).unwrap_or_default());
        assert!(!group.has_free_slot() || group.ready.is_empty(), "a group has a free slot and a ready lane");
    }
}

/// Checks that a job is in the list of its state and has a lane, a session or a timer.
fn check_job(core: &Core, key: JobKey) {
    let entry = &core.table[key];
    assert_eq!(core.find(entry.id).ok(), Some(key));
    assert_eq!(entry.active().is_some(), entry.state == JobState::Running || entry.is_offered());
    assert_eq!(entry.end().is_some(), entry.state.is_final());
    let lane = &core.lanes[entry.lane];
    let (list, has_wake_up) = match entry.state {
        JobState::Scheduled => {
            let on_wall = core.wall_starts.iter().any(|(.., waiting)| *waiting == key);
            (Some(&lane.scheduled), on_wall || entry.timer != Moment::NEVER)
        }
        JobState::Queued if !entry.is_offered() => (lane.ready.get(&entry.priority), true),
        JobState::Running | JobState::Queued => {
            let live = entry.active().unwrap();
            let session = &core.sessions.sessions[&live.session];
            assert!(!session.revoked.contains(&live.lease));
            (Some(&session.jobs), entry.timer != Moment::NEVER)
        }
        JobState::Succeeded | JobState::Failed | JobState::Cancelled => {
            assert_eq!(core.outcome(key, None).unwrap().state(), entry.state);
            let kept_for_ever = entry.deadline == Moment::NEVER;
            (Some(&core.finished.list), kept_for_ever || entry.timer != Moment::NEVER)
        }
    };
    assert!(has_wake_up, "{} {} would wait for ever", entry.id, entry.state.name());
    let places = list.unwrap().keys(&core.table).iter().filter(|other| **other == key).count();
    assert_eq!(places, 1, "a job is in the list of its state");
    if let Some(deadline) = entry.overall_deadline() {
        assert!(entry.timer <= deadline.whole_millis());
    }
}
