//! Rotation of the issuer's keys while many tasks verify tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::{Mutex, RwLock};
use tokio::task::yield_now;

use super::super::JwtVerifier;
use super::issuer::{Signer, claims, document};
use super::jwks_server::JwksServer;
use super::{MINUTE, options, refusal, verify, verify_or_wait, with};
use crate::clock::Clock;
use crate::error::Error;

const TASKS: usize = 16;
const ROTATIONS: usize = 20;
/// Tokens of a key that each task verifies at least before the next rotation.
const TOKENS: u64 = 20;

/// The key that signs, and what the tasks have done.
struct Issuer {
    /// With the number of the rotation.
    current: RwLock<(usize, Arc<Signer>)>,
    is_over: AtomicBool,
    /// For each task the tokens that it has verified since the last rotation.
    verified: Vec<AtomicU64>,
    /// Why valid tokens were refused.
    refusals: Mutex<Vec<Error>>,
}

impl Issuer {
    /// Verifies tokens of the current key: new ones, and a repeated one that is in the cache.
    async fn verify_tokens(&self, verifier: &JwtVerifier, task: usize) -> u64 {
        let (mut all, mut repeated) = (0_u64, None);
        while !self.is_over.load(Ordering::Relaxed) {
            let (rotation, signer) = self.current.read().clone();
            let token = match repeated.take() {
                Some((of, token)) if of == rotation && all.is_multiple_of(2) => token,
                _ => signer.sign(&with(claims(), "jti", all)),
            };
            if let Err(error) = verify_or_wait(verifier, &token).await {
                self.refusals.lock().push(error);
            }
            all += 1;
            repeated = Some((rotation, token));
            if self.current.read().0 == rotation {
                self.verified[task].fetch_add(1, Ordering::Relaxed);
            }
            yield_now().await;
        }
        all
    }

    async fn all_have_verified(&self) {
        while self.verified.iter().any(|count| count.load(Ordering::Relaxed) < TOKENS) {
            assert_eq!(*self.refusals.lock(), [], "refusals of valid tokens");
            yield_now().await;
        }
    }

    fn sign_with(&self, rotation: usize, signer: Arc<Signer>) {
        let mut current = self.current.write();
        *current = (rotation, signer);
        self.verified.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    }
}

async fn rotate(server: JwksServer, verifier: JwtVerifier, clock: Clock) {
    let new = |rotation: usize| {
        let id = format!("key-{rotation}");
        Arc::new(if rotation.is_multiple_of(2) { Signer::p256(&id) } else { Signer::ed25519(&id) })
    };
    let mut signer = new(0);
    server.publish(&document(&[&signer]));
    let _fresh = verifier.keep_keys_fresh();
    // A token that was looked up before the first load may cause an early refresh after it.
    verifier.loaded(|generation| generation == 1).await;
    let issuer = Arc::new(Issuer {
        current: RwLock::new((0, signer.clone())),
        is_over: AtomicBool::new(false),
        verified: (0..TASKS).map(|_| AtomicU64::new(0)).collect(),
        refusals: Mutex::default(),
    });
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (issuer, verifier) = (issuer.clone(), verifier.clone());
            tokio::spawn(async move { issuer.verify_tokens(&verifier, task).await })
        })
        .collect();
    let mut removed: Option<String> = None;
    for rotation in 1..=ROTATIONS {
        issuer.all_have_verified().await;
        let next = new(rotation);
        // The former key stays published while its tokens are in use.
        server.publish(&document(&[&signer, &next]));
        clock.advance(MINUTE);
        let former = signer.sign(&claims());
        issuer.sign_with(rotation, next.clone());
        issuer.all_have_verified().await;
        verify(&verifier, &former).expect("a token of the former key");
        if let Some(removed) = removed.replace(former) {
            // It was valid and cached before the refresh.
            let (reason, message) = refusal(verify(&verifier, &removed));
            assert!(reason == "CREDENTIAL_INVALID" && message.contains("none of the issuer's"), "{message}");
        }
        signer = next;
    }
    issuer.is_over.store(true, Ordering::Relaxed);
    let verified: u64 = join_all(tasks).await.into_iter().map(|task| task.expect("it ends")).sum();
    assert_eq!(*issuer.refusals.lock(), [], "refusals of valid tokens");
    assert!(verified > ROTATIONS as u64 * TASKS as u64 * TOKENS);
    // The first load, and one refresh for each rotation.
    assert!(server.requests() <= ROTATIONS + 1, "{} requests", server.requests());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_valid_token_is_refused_while_keys_rotate() {
    let (server, clock) = (JwksServer::new().await, Clock::manual());
    let verifier = JwtVerifier::new(options(server.url()), clock.clone()).unwrap();
    rotate(server, verifier, clock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_valid_token_is_refused_while_keys_rotate_over_tls() {
    let (server, clock) = (JwksServer::with_tls().await, Clock::manual());
    let mut options = options(server.url());
    options.ca = Some(server.ca());
    let verifier = JwtVerifier::new(options, clock.clone()).unwrap();
    rotate(server, verifier, clock).await;
}

/// Without any token that names an unknown key.
#[tokio::test]
async fn a_removed_key_is_refused_after_the_next_refresh() {
    let (server, clock) = (JwksServer::new().await, Clock::manual());
    let (former, current) = (Signer::ed25519("a"), Signer::ed25519("b"));
    server.publish(&document(&[&former, &current]));
    let mut options = options(server.url());
    options.refresh_interval = Duration::ZERO;
    let verifier = JwtVerifier::new(options, clock).unwrap();
    let _fresh = verifier.keep_keys_fresh();
    let token = former.sign(&claims());
    verify_or_wait(&verifier, &token).await.unwrap();
    verify(&verifier, &token).expect("the cached token");
    server.publish(&document(&[&current]));
    verifier.loaded(|generation| generation == 2).await;
    let clock = verifier.clock();
    clock.advance(Duration::from_secs(1));
    assert!(matches!(verifier.verify(&token), Ok(super::Verification::Waiting(_))), "an unknown key");
    assert!(refusal(verify_or_wait(&verifier, &token).await).1.contains("none of the issuer's"));
    verify(&verifier, &current.sign(&claims())).unwrap();
}
