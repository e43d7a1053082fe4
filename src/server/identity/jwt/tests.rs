//! Tests of the verification: an issuer of tokens and, over real sockets, a server of its keys.

mod arbitrary;
mod cost;
mod issuer;
mod jwks_server;
mod loading;
mod refusals;
mod rotation;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{JwtOptions, JwtVerifier, Verification};
use crate::access::Principal;
use crate::clock::Clock;
use crate::error::{ErrorKind, Result};

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "jobstream";

fn options(jwks: impl Into<String>) -> JwtOptions {
    JwtOptions::new(ISSUER, AUDIENCE, jwks)
}

/// A verifier with the keys of a file, which need no task.
fn verifier(keys: &[&issuer::Signer], change: impl FnOnce(&mut JwtOptions)) -> (JwtVerifier, Clock) {
    let file = File::new(&issuer::document(keys));
    let mut options = options(file.text());
    change(&mut options);
    let clock = Clock::manual();
    (JwtVerifier::new(options, clock.clone()).expect("valid options"), clock)
}

/// Verifies without waiting.
fn verify(verifier: &JwtVerifier, token: &str) -> Result<Arc<Principal>> {
    match verifier.verify(token)? {
        Verification::Ready(principal) => Ok(principal),
        Verification::Waiting(_) => panic!("it waits for keys"),
    }
}

async fn verify_or_wait(verifier: &JwtVerifier, token: &str) -> Result<Arc<Principal>> {
    match verifier.verify(token)? {
        Verification::Ready(principal) => Ok(principal),
        Verification::Waiting(result) => result.await,
    }
}

/// The reason and the message of a refusal.
#[track_caller]
fn refusal(result: Result<Arc<Principal>>) -> (&'static str, String) {
    let error = result.expect_err("a refusal");
    match error.kind() {
        ErrorKind::Unauthenticated { reason } => (reason, error.message().to_owned()),
        kind => panic!("{kind:?}"),
    }
}

/// The wall time of a new manual clock and this many seconds.
fn seconds_from_start(seconds: i64) -> i64 {
    Clock::manual().now().wall.as_micros() / 1_000_000 + seconds
}

/// A file that is removed at the end.
struct File(PathBuf);

impl File {
    fn new(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("jobstream-jwks-{}", uuid::Uuid::now_v7()));
        std::fs::write(&path, text).expect("a file");
        Self(path)
    }

    fn text(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // A remaining file in the directory for temporary files is harmless.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The claims without one of them.
fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().expect("an object").remove(name);
    claims
}

/// The claims with a changed one.
fn with(mut claims: Value, name: &str, value: impl Into<Value>) -> Value {
    claims[name] = value.into();
    claims
}

const MINUTE: Duration = Duration::from_secs(60);
