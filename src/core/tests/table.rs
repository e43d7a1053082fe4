//! The job table, its acceptance order and its intrusive lists, compared with plain vectors.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::fixture::{cases, id};
use crate::core::JobKey;
use crate::core::callers::CallerKey;
use crate::core::entry::{Entry, ListLinks};
use crate::core::keys::LaneKey;
use crate::core::list::List;
use crate::core::moment::Moment;
use crate::core::table::Table;
use crate::core::tails::IdSecret;
use crate::job::{JobId, JobState, Payload, Timestamp};

pub(super) fn new_table() -> Table {
    Table::new(IdSecret::from_u128(7))
}

/// Returns a job record with an id and default values.
pub(super) fn bare_entry(number: u32) -> Entry {
    Entry {
        caller: CallerKey::EMBEDDER,
        id: id(number),
        payload: Payload::default(),
        options: None,
        lane: LaneKey(0),
        priority: 0,
        state: JobState::Queued,
        first_wait: None,
        cancel_requested: false,
        sequence: 1,
        observer: 0,
        accepted: 0,
        written: None,
        create_time: Timestamp::default(),
        created: Duration::ZERO.into(),
        deadline: Moment::NEVER,
        links: ListLinks::NONE,
        timer: Moment::NEVER,
        execution: None,
    }
}

/// Returns a job record with a minted id: unique before its tail.
fn minted_entry(number: u32) -> Entry {
    Entry { id: JobId::from_bytes((u128::from(number + 1) << u32::BITS).to_be_bytes()), ..bare_entry(number) }
}

proptest! {
    #![proptest_config(cases(30))]

    #[test]
    fn the_table_finds_and_orders_its_jobs(steps in vec((0..4_u8, any::<prop::sample::Index>()), 1..2500)) {
        let mut table = new_table();
        let mut model: BTreeMap<u64, (JobId, JobKey)> = BTreeMap::new();
        for (number, (step, index)) in (0..).zip(steps) {
            if step > 0 || model.is_empty() {
                let key = match step {
                    1 => table.insert_minted(minted_entry(number)),
                    _ => table.insert(bare_entry(number)),
                };
                let id = table[key].id;
                prop_assert!(step == 1 || id == self::id(number));
                model.insert(u64::from(number), (id, key));
            } else {
                let (accepted, (removed, key)) = model.iter().nth(index.index(model.len())).unwrap();
                let (accepted, removed, key) = (*accepted, *removed, *key);
                prop_assert_eq!(table.remove(key).id, removed);
                prop_assert_eq!(table.find(removed), None);
                model.remove(&accepted);
                // The acceptance number of a removed job is not reused.
                let gap = table.insert(bare_entry(number));
                table.remove(gap);
            }
            prop_assert_eq!(table.len() as usize, model.len());
            prop_assert_eq!(table.order.next, u64::from(number) + 1);
        }
        for (id, key) in model.values() {
            prop_assert_eq!(table.find(*id), Some(*key));
            prop_assert_eq!(table[*key].id, *id);
        }
        for before in [0, 1, 255, 256, 257, 1000, 2600, u64::MAX] {
            let listed: Vec<_> = table.order.before(before).collect();
            let expected: Vec<_> = model.range(..before).rev().map(|(_, (_, key))| *key).collect();
            prop_assert_eq!(listed, expected);
        }
        for step in [1, 3, 256, 1000] {
            let sampled = (0..step).flat_map(|offset| table.sample(step, offset));
            let mut accepted: Vec<_> = sampled.map(|entry| entry.accepted).collect();
            accepted.sort_unstable();
            prop_assert_eq!(accepted, model.keys().copied().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_list_matches_a_vector_model(steps in vec((0..3_u8, any::<prop::sample::Index>()), 1..200)) {
        let mut table = new_table();
        let (mut list, mut model) = (List::default(), Vec::new());
        for (number, (step, index)) in (0..).zip(steps) {
            match step {
                0 if !model.is_empty() => {
                    let key = model.remove(index.index(model.len()));
                    list.remove(&mut table, key);
                }
                1 => {
                    let key = table.insert(bare_entry(number));
                    list.push_front(&mut table, key);
                    model.insert(0, key);
                }
                _ => {
                    let key = table.insert(bare_entry(number));
                    list.push_back(&mut table, key);
                    model.push(key);
                }
            }
            prop_assert_eq!(list.keys(&table), model.clone());
            prop_assert_eq!((list.first(), list.is_empty()), (model.first().copied(), model.is_empty()));
        }
    }
}

#[test]
fn memory_shrinks_after_a_peak() {
    const PEAK: u32 = 40_000;
    let mut table = new_table();
    let keys: Vec<_> = (0..PEAK).map(|number| table.insert(bare_entry(number))).collect();
    assert!(table.capacity() >= PEAK as usize);
    for key in &keys[1..] {
        table.remove(*key);
    }
    let capacity = table.capacity();
    assert!(capacity < PEAK as usize / 2, "one job is left and the capacity is {capacity}");
    assert_eq!(table.find(id(0)), Some(keys[0]));
    let again: Vec<_> = (1..PEAK).map(|number| table.insert(bare_entry(number))).collect();
    assert!(again.iter().zip(1..).all(|(key, number)| table.find(id(number)) == Some(*key)));
    assert!(!again.contains(&keys[0]), "the slot of the remaining job is not reused");
}

#[test]
fn a_chosen_id_with_the_tail_of_another_job_is_found() {
    let mut table = new_table();
    let minted = table.insert_minted(minted_entry(0));
    let minted_id = table[minted].id;
    let named_id = table.tails().minted(id(7), minted);
    assert_eq!((table.find(minted_id), table.find(named_id)), (Some(minted), None));
    let named = table.insert(Entry { id: named_id, ..bare_entry(7) });
    assert_eq!((table.find(minted_id), table.find(named_id)), (Some(minted), Some(named)));
    table.remove(minted);
    assert_eq!((table.find(minted_id), table.find(named_id)), (None, Some(named)));
    // Another job reuses the slot.
    let next = table.insert_minted(minted_entry(1));
    assert_eq!((next, table.find(minted_id)), (minted, None));
}

#[test]
fn ids_are_found_after_a_change_of_the_secret() {
    let mut table = new_table();
    let keys: Vec<_> = (0..500).map(|number| table.insert_minted(minted_entry(number))).collect();
    let before: Vec<_> = keys.iter().map(|key| (table[*key].id, *key)).collect();
    table.set_secret(IdSecret::from_u128(8));
    let newer = table.insert_minted(minted_entry(1_000));
    assert!(!table.is_id_chosen(newer));
    for (id, key) in before {
        assert_eq!(table.find(id), Some(key));
        table.remove(key);
        assert_eq!(table.find(id), None);
    }
    assert_eq!(table.find(table[newer].id), Some(newer));
}
