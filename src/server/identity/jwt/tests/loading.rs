//! Loading of keys: from files and servers, and every reason why a load fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use super::super::{JwtVerifier, Verification};
use super::issuer::{Signer, claims, document};
use super::jwks_server::JwksServer;
use super::{File, MINUTE, options, refusal, verify, verify_or_wait};
use crate::clock::Clock;

const NOT_LOADED: &str = "JWTs cannot be verified: the keys of the issuer are not loaded yet";

fn new_verifier(jwks: String) -> (Arc<JwtVerifier>, Clock) {
    let clock = Clock::manual();
    (Arc::new(JwtVerifier::new(options(jwks), clock.clone()).expect("valid options")), clock)
}

#[track_caller]
fn problem(jwks: &str, ca: Option<&str>) -> String {
    let mut options = options(jwks);
    options.ca = ca.map(Into::into);
    JwtVerifier::new(options, Clock::manual()).expect_err("a refusal").to_string()
}

#[test]
fn wrong_options_are_refused_with_the_reason() {
    for (jwks, expected) in [
        ("http://id.example/keys", "use https"),
        ("http://127.0.0.1.example/keys", "use https"),
        ("http://localhost.example/keys", "use https"),
        ("ftp://id.example/keys", "not http or https"),
        ("https://user:pa55@id.example/keys", "user information"),
        ("file:///etc/keys.json", "not http or https"),
        ("/does/not/exist.json", "cannot read /does/not/exist.json: No such file"),
        ("", "jwt.jwks: is empty"),
    ] {
        let message = problem(jwks, None);
        assert!(message.contains(expected) && !message.contains("pa55"), "{message}");
    }
    let missing = problem("https://id.example/keys", Some("/does/not/exist.pem"));
    assert!(missing.contains("cannot read /does/not/exist.pem"), "{missing}");
    let (keys, text) = (File::new("{\"keys\": []}"), File::new("no certificate"));
    assert!(problem("https://id.example/keys", Some(&text.text())).contains("no certificate in PEM"));
    assert!(problem(&keys.text(), Some(&text.text())).contains("needs no CA"));
    assert!(problem(&text.text(), None).contains("not a JSON Web Key Set"));
    for (name, change) in [("issuer", 0), ("audience", 1), ("name_claim", 2), ("grants_claim", 3)] {
        let mut options = options(keys.text());
        let empty = String::new();
        match change {
            0 => options.issuer = empty,
            1 => options.audience = empty,
            2 => options.name_claim = empty,
            _ => options.grants_claim = Some(empty),
        }
        let error = JwtVerifier::new(options, Clock::manual()).expect_err(name).to_string();
        assert_eq!(error, format!("jwt.{name}: is empty"));
    }
}

#[tokio::test]
async fn a_plain_url_is_accepted_with_a_loopback_host() {
    for host in ["127.0.0.1", "127.1.2.3", "[::1]", "localhost", "LOCALHOST"] {
        JwtVerifier::new(options(format!("http://{host}:1/keys")), Clock::manual()).expect(host);
    }
}

#[tokio::test]
async fn keys_come_over_tls_with_an_own_authority() {
    let (server, other, signer) =
        (JwksServer::with_tls().await, JwksServer::with_tls().await, Signer::p256("a"));
    server.publish(&document(&[&signer]));
    let token = signer.sign(&claims());
    for (ca, is_accepted) in [(server.ca(), true), (other.ca(), false)] {
        let mut options = options(server.url());
        options.ca = Some(ca);
        let verifier = JwtVerifier::new(options, Clock::manual()).unwrap();
        let _fresh = verifier.keep_keys_fresh();
        let verified = verify_or_wait(&verifier, &token).await;
        match is_accepted {
            true => assert_eq!(&**verified.unwrap().name(), "jwt:ann"),
            false => assert_eq!(refusal(verified).1, NOT_LOADED),
        }
    }
}

/// The first tokens wait for the first load, and a server that is not there yet is tried again.
#[tokio::test]
async fn a_server_that_starts_later_is_found() {
    let signer = Signer::ed25519("a");
    let reserved = JwksServer::new().await;
    let (address, url) = (reserved.address, reserved.url());
    drop(reserved);
    let (verifier, _) = new_verifier(url);
    let _fresh = verifier.keep_keys_fresh();
    let token = signer.sign(&claims());
    assert_eq!(refusal(verify_or_wait(&verifier, &token).await).1, NOT_LOADED);
    let server = JwksServer::bind(address).await;
    server.publish(&document(&[&signer]));
    verifier.loaded(|generation| generation == 1).await;
    verify(&verifier, &token).expect("the keys are loaded");
}

#[tokio::test]
async fn a_bad_response_leaves_the_former_keys() {
    let (server, signer) = (JwksServer::new().await, Signer::ed25519("a"));
    server.publish(&document(&[&signer]));
    let (verifier, clock) = new_verifier(server.url());
    let _fresh = verifier.keep_keys_fresh();
    let token = signer.sign(&claims());
    verify_or_wait(&verifier, &token).await.unwrap();
    let other = Signer::ed25519("b").sign(&claims());
    let many: Vec<_> = (0..101).map(|number| json!({"kty": "oct", "kid": number.to_string()})).collect();
    let location = "location: /other\r\n";
    for (status, headers, body) in [
        ("404 Not Found", "", document(&[])),
        ("500 Internal Server Error", "", String::new()),
        ("301 Moved Permanently", location, document(&[])),
        ("302 Found", location, document(&[])),
        ("204 No Content", "", String::new()),
        ("200 OK", "", "<html>".to_owned()),
        ("200 OK", "", "{}".to_owned()),
        ("200 OK", "", "[".repeat(100_000)),
        ("200 OK", "", json!({"keys": many}).to_string()),
        ("200 OK", "", format!("{{\"keys\": [], \"x\": \"{}\"}}", "a".repeat(1 << 20))),
    ] {
        let before = server.requests();
        server.respond(status, headers, &body);
        clock.advance(MINUTE);
        let (_, message) = refusal(verify_or_wait(&verifier, &other).await);
        assert_eq!(message, "the key of the JWT is none of the issuer's");
        assert!(server.requests() > before, "{status} was requested");
        verify(&verifier, &signer.sign(&claims())).expect(status);
    }
    server.publish(&document(&[]));
    clock.advance(MINUTE);
    refusal(verify_or_wait(&verifier, &other).await);
    assert!(refusal(verify(&verifier, &token)).1.contains("none of the issuer's"), "an empty set");
}

#[tokio::test]
async fn unknown_keys_cause_one_refresh_a_minute() {
    let (server, signer) = (JwksServer::new().await, Signer::ed25519("a"));
    server.publish(&document(&[&signer]));
    let (verifier, clock) = new_verifier(server.url());
    let _fresh = verifier.keep_keys_fresh();
    verify_or_wait(&verifier, &signer.sign(&claims())).await.unwrap();
    let unknown = Signer::ed25519("b").sign(&claims());
    for refreshes in 1..=3 {
        clock.advance(MINUTE);
        let (one, other) =
            tokio::join!(verify_or_wait(&verifier, &unknown), verify_or_wait(&verifier, &unknown));
        refusal(one);
        refusal(other);
        for _ in 0..100 {
            // At once.
            refusal(verify(&verifier, &unknown));
        }
        assert_eq!(server.requests(), 1 + refreshes);
    }
}

/// The calls that wait are bounded, and they wait no longer than a load may take.
#[tokio::test]
async fn a_silent_server_delays_calls_by_a_bounded_time() {
    let server = JwksServer::new().await;
    let (verifier, _) = new_verifier(server.url());
    let _fresh = verifier.keep_keys_fresh();
    let token = Signer::ed25519("a").sign(&claims());
    let start = Instant::now();
    let mut waiting = Vec::new();
    while let Ok(Verification::Waiting(result)) = verifier.verify(&token) {
        waiting.push(result);
        assert!(waiting.len() <= 1_000);
    }
    assert_eq!(waiting.len(), 1_000);
    assert_eq!(refusal(verify(&verifier, &token)).1, NOT_LOADED);
    drop(waiting.pop());
    let last = verifier.verify(&token);
    assert!(matches!(last, Ok(Verification::Waiting(_))), "a call that ended does not count");
    for result in join_all(waiting).await {
        assert_eq!(refusal(result).1, NOT_LOADED);
    }
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

/// A file is loaded again when a token names an unknown key.
#[tokio::test]
async fn a_changed_file_is_loaded() {
    let (former, current) = (Signer::ed25519("a"), Signer::ed25519("b"));
    let file = File::new(&document(&[&former]));
    let (verifier, _) = new_verifier(file.text());
    let _fresh = verifier.keep_keys_fresh();
    verify(&verifier, &former.sign(&claims())).unwrap();
    std::fs::write(&file.0, document(&[&current])).unwrap();
    verify_or_wait(&verifier, &current.sign(&claims())).await.expect("the new key");
    refusal(verify(&verifier, &former.sign(&claims())));
}
