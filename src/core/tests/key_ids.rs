//! Job ids of idempotency keys.

use super::fixture::{Fixture, GRACE, job, seconds};
use crate::core::{Core, CoreOptions, IdSecret, SubmittedJob};
use crate::error::ErrorKind;
use crate::job::JobState;

const SECRET: u128 = 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f;

fn derived(secret: u128, principal: &str, key: &str) -> String {
    IdSecret::from_u128(secret).job_id_of_key(principal, key).to_string()
}

/// Callers repeat requests, also after an upgrade of the server: these ids never change. They were computed by another
/// implementation of HMAC-SHA-256.
#[test]
fn the_id_of_a_key_is_the_same_in_every_version() {
    assert_eq!(derived(SECRET, "", "order-123"), "82ccd9cd-7eba-8025-8077-e419db0bc138");
    assert_eq!(derived(SECRET, "alice", "order-123"), "51a13ac1-2e22-8fa2-829b-5c196b04cce0");
    assert_eq!(derived(SECRET, "", ""), "7ffb4160-3416-8597-8d03-20c1b1d734fd");
    let long = "\u{f6}".repeat(100);
    assert_eq!(derived(SECRET, "\u{e4}", &long), "90c028ed-1822-8124-9754-7804c4289c58");
}

#[test]
fn the_bytes_of_a_principal_are_not_those_of_a_key() {
    assert_ne!(derived(SECRET, "alice", "order-123"), derived(SECRET, "ali", "ceorder-123"));
    assert_ne!(derived(SECRET, "alice", ""), derived(SECRET, "", "alice"));
    assert_ne!(derived(SECRET, "alice", "order-123"), derived(SECRET + 1, "alice", "order-123"));
}

#[test]
fn every_id_of_a_key_is_a_uuid_v8() {
    for number in 0..100 {
        let id = IdSecret::from_u128(SECRET).job_id_of_key("alice", &number.to_string());
        let uuid = uuid::Uuid::from_bytes(*id.as_bytes());
        assert_eq!(
            (uuid.get_version_num(), uuid.get_variant()),
            (8, uuid::Variant::RFC4122),
            "RFC 9562: {uuid}"
        );
    }
}

#[test]
fn cores_have_different_ids_of_a_key() {
    let id = |seed: u8| Core::new(CoreOptions::default(), [seed; 32]).id_secret().job_id_of_key("", "k");
    assert_eq!(id(1), id(1));
    assert_ne!(id(1), id(2));
}

#[test]
fn the_id_of_a_key_is_remembered_as_chosen_by_the_caller() {
    let mut f = Fixture::new();
    let id = f.core.id_secret().job_id_of_key("alice", "order-123");
    f.submit_as(id, job("a")).unwrap();
    f.cancel(id, GRACE).unwrap();
    f.run(|core, now, effects| core.delete(now, id, effects)).unwrap();
    f.advance(seconds(3600));
    let again = f.submit_as(id, job("a")).unwrap();
    assert_eq!((again.job, again.existing), (SubmittedJob::Removed(JobState::Cancelled), true));
    assert_eq!(*f.submit_as(id, job("b")).unwrap_err().kind(), ErrorKind::JobIdReused(id));
}
