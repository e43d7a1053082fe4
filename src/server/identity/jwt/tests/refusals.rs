//! What is accepted, and every reason of a refusal.

use std::time::Duration;

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::super::TOKEN_BYTES_MAX;
use super::issuer::{Signer, base64, claims};
use super::{refusal, seconds_from_start, verifier, verify, with, without};
use crate::access::{Grants, Method};
use crate::job::Timestamp;

const INVALID: &str = "CREDENTIAL_INVALID";
const EXPIRED: &str = "CREDENTIAL_EXPIRED";

#[test]
fn tokens_of_the_three_algorithms_are_accepted() {
    let signers = Signer::all();
    let (verifier, _) = verifier(&signers.each_ref(), |options| {
        options.grants = Grants::parse(["submit"]).unwrap();
    });
    for signer in &signers {
        let principal = verify(&verifier, &signer.sign(&claims())).unwrap();
        assert_eq!((&**principal.name(), principal.method()), ("jwt:ann", Method::Jwt));
        let end = Timestamp::from_micros(seconds_from_start(3610) * 1_000_000);
        assert_eq!(principal.expire_time(), Some(end), "with the leeway");
        assert_eq!(principal.grants(), &Grants::parse(["submit"]).unwrap());
    }
}

#[test]
fn a_list_of_audiences_and_fractional_times_are_accepted() {
    let signer = Signer::ed25519("a");
    let (verifier, _) = verifier(&[&signer], |_| {});
    let claims = with(claims(), "aud", json!(["other", "jobstream"]));
    let claims = with(with(claims, "exp", seconds_from_start(9) as f64 + 0.5), "nbf", 1e3);
    let principal = verify(&verifier, &signer.sign(&claims)).unwrap();
    let micros = seconds_from_start(19) * 1_000_000 + 500_000;
    assert_eq!(principal.expire_time(), Some(Timestamp::from_micros(micros)));
}

#[test]
fn a_token_that_names_no_key_has_the_only_one_of_its_type() {
    let [rsa, p256, ed25519] = Signer::all();
    let unnamed = |signer: &Signer| signer.sign_with(&json!({"alg": signer.algorithm()}), &claims());
    let (one_each, _) = verifier(&[&rsa, &p256, &ed25519], |_| {});
    verify(&one_each, &unnamed(&p256)).unwrap();
    let (several, _) = verifier(&[&ed25519, &Signer::ed25519("other")], |_| {});
    let (reason, message) = refusal(verify(&several, &unnamed(&ed25519)));
    assert!(reason == INVALID && message.contains("names no key"), "{message}");
}

#[test]
fn a_forged_signature_is_refused() {
    for signer in Signer::all() {
        let (verifier, _) = verifier(&[&signer], |_| {});
        let token = signer.sign(&claims());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let other = match signer.algorithm() {
            "RS256" => Signer::rsa(&signer.id),
            "ES256" => Signer::p256(&signer.id),
            _ => Signer::ed25519(&signer.id),
        };
        let (header, _) = signed.split_once('.').unwrap();
        let changed = base64(with(claims(), "sub", "root").to_string());
        for forged in [
            other.sign(&claims()),
            format!("{header}.{changed}.{signature}"),
            format!("{signed}."),
            format!("{signed}.{}", base64([0; 64])),
            format!("{signed}.{}", base64([0; 256])),
        ] {
            let (reason, message) = refusal(verify(&verifier, &forged));
            assert!(reason == INVALID && message.contains("signature"), "{message}");
        }
        verify(&verifier, &token).expect("the genuine token");
    }
}

#[test]
fn no_header_can_choose_a_weaker_algorithm() {
    for signer in Signer::all() {
        let (verifier, _) = verifier(&[&signer], |_| {});
        for algorithm in ["none", "None", "NONE", "", "HS256", "HS384", "PS256", "RS384", "ES384", "ES256K"] {
            let header = json!({"alg": algorithm, "kid": signer.id});
            let signed = signer.sign_with(&header, &claims());
            let (unsigned, _) = signed.rsplit_once('.').unwrap();
            let key = hmac::Key::new(hmac::HMAC_SHA256, &signer.public_bytes());
            let tag = hmac::sign(&key, unsigned.as_bytes());
            for token in [format!("{unsigned}."), format!("{unsigned}.{}", base64(tag)), signed.clone()] {
                let (reason, message) = refusal(verify(&verifier, &token));
                let expected = "the algorithm of the JWT is not RS256, ES256 or EdDSA";
                assert_eq!((reason, message.as_str()), (INVALID, expected), "{algorithm}");
            }
        }
    }
}

#[test]
fn an_hmac_with_the_public_key_is_no_signature() {
    for signer in Signer::all() {
        let (verifier, _) = verifier(&[&signer], |_| {});
        let signed = signer.sign(&claims());
        let (unsigned, _) = signed.rsplit_once('.').unwrap();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &signer.public_bytes()), unsigned.as_bytes());
        let (reason, message) = refusal(verify(&verifier, &format!("{unsigned}.{}", base64(tag))));
        assert!(reason == INVALID && message.contains("signature"), "{message}");
    }
}

#[test]
fn the_algorithm_is_that_of_the_key() {
    let signers = Signer::all();
    let (verifier, _) = verifier(&signers.each_ref(), |_| {});
    for (signer, other) in [(0, 1), (1, 2), (2, 0)].map(|(a, b)| (&signers[a], &signers[b])) {
        let header = json!({"alg": signer.algorithm(), "kid": other.id});
        let (reason, message) = refusal(verify(&verifier, &signer.sign_with(&header, &claims())));
        assert_eq!((reason, message.as_str()), (INVALID, "the algorithm of the JWT is not that of its key"));
    }
}

#[test]
fn each_broken_rule_has_its_message() {
    let signer = Signer::ed25519("a");
    let (verifier, _) = verifier(&[&signer], |options| options.grants_claim = Some("may".to_owned()));
    for (claims, expected) in [
        (
            with(claims(), "iss", "https://other.example"),
            "is \"https://other.example\", this server trusts \"https://id.example\"",
        ),
        (with(claims(), "iss", json!(["https://id.example"])), "claim iss"),
        (without(claims(), "iss"), "no claim iss"),
        (with(claims(), "aud", "other"), "audience (aud) of the JWT is not \"jobstream\""),
        (with(claims(), "aud", json!([])), "audience (aud)"),
        (with(claims(), "aud", json!({"jobstream": true})), "claim aud"),
        (without(claims(), "aud"), "no claim aud"),
        (without(claims(), "sub"), "no claim sub"),
        (with(claims(), "sub", ""), "claim sub"),
        (with(claims(), "sub", 7), "claim sub"),
        (with(claims(), "sub", "a b"), "is no name"),
        (with(claims(), "sub", "a".repeat(253)), "is no name"),
        (without(claims(), "exp"), "no claim exp"),
        (with(claims(), "exp", "tomorrow"), "claim exp"),
        (with(claims(), "exp", Value::Null), "claim exp"),
        (with(claims(), "nbf", "today"), "claim nbf"),
        (
            with(claims(), "nbf", seconds_from_start(11)),
            "from 2026-01-01T00:00:11Z on (nbf), it is 2026-01-01T00:00:00Z",
        ),
        (with(claims(), "may", "all"), "no list of texts"),
        (with(claims(), "may", json!([7])), "no list of texts"),
        (
            with(claims(), "may", json!(["submit", "everything"])),
            "claim may of the JWT: grant: \"everything\" has no action",
        ),
        (
            with(claims(), "may", json!(vec!["submit"; 65])),
            "claim may of the JWT: grants: has 65 grants, the limit is 64",
        ),
        (json!([]), "payload"),
        (json!("text"), "payload"),
    ] {
        let (reason, message) = refusal(verify(&verifier, &signer.sign(&claims)));
        assert!(reason == INVALID && message.contains(expected), "{claims}: {message}");
    }
}

#[test]
fn times_have_a_leeway_of_ten_seconds() {
    let signer = Signer::ed25519("a");
    let (verifier, clock) = verifier(&[&signer], |_| {});
    let early = signer.sign(&with(claims(), "nbf", seconds_from_start(10)));
    verify(&verifier, &early).expect("valid in ten seconds");
    let token = signer.sign(&with(claims(), "exp", seconds_from_start(100)));
    for _ in 0..2 {
        // The second time from the cache.
        verify(&verifier, &token).expect("valid");
    }
    clock.advance(Duration::from_micros(109_999_999));
    verify(&verifier, &token).expect("within the leeway");
    clock.advance(Duration::from_micros(1));
    let (reason, message) = refusal(verify(&verifier, &token));
    assert!(reason == EXPIRED && message.contains("expired at 2026-01-01T00:01:40Z"), "{message}");
    for exp in [0.0, -1e300, -1.0] {
        assert_eq!(refusal(verify(&verifier, &signer.sign(&with(claims(), "exp", exp)))).0, EXPIRED);
    }
    let endless = with(claims(), "exp", 1e300);
    assert_eq!(verify(&verifier, &signer.sign(&endless)).unwrap().expire_time(), Some(Timestamp::MAX));
}

#[test]
fn only_a_token_that_a_new_key_could_verify_waits_for_a_refresh() {
    let signer = Signer::ed25519("a");
    let (verifier, _) = verifier(&[&signer], |_| {});
    for token in ["a", "", "..", "a.b.c"] {
        refusal(verify(&verifier, token));
    }
    let other = Signer::ed25519("b");
    refusal(verify(&verifier, &other.sign_with(&json!({"alg": "HS256", "kid": "b"}), &claims())));
    let waiting = verifier.verify(&other.sign(&claims()));
    assert!(matches!(waiting, Ok(super::Verification::Waiting(_))));
}

#[test]
fn the_name_and_further_grants_are_in_claims_of_the_options() {
    let signer = Signer::ed25519("a");
    let (verifier, _) = verifier(&[&signer], |options| {
        options.name_claim = "email".to_owned();
        options.grants = Grants::parse(["submit"]).unwrap();
        options.grants_claim = Some("https://jobstream/grants".to_owned());
    });
    let claims = with(claims(), "email", "ann@corp");
    let principal = verify(&verifier, &signer.sign(&claims)).unwrap();
    assert_eq!(&**principal.name(), "jwt:ann@corp");
    assert_eq!(principal.grants(), &Grants::parse(["submit"]).unwrap());
    let claims = with(claims, "https://jobstream/grants", json!(["read own", "list own queue=a/*"]));
    let principal = verify(&verifier, &signer.sign(&claims)).unwrap();
    assert_eq!(principal.grants(), &Grants::parse(["submit", "read own", "list own queue=a/*"]).unwrap());
    for name in ["email", "sub"] {
        let (_, message) = refusal(verify(&verifier, &signer.sign(&without(claims.clone(), name))));
        assert_eq!(message, format!("the JWT has no claim {name}"));
    }
}

#[test]
fn a_huge_token_is_refused_before_any_work() {
    let signer = Signer::ed25519("a");
    let (verifier, _) = verifier(&[&signer], |_| {});
    let huge = signer.sign(&with(claims(), "x", "a".repeat(TOKEN_BYTES_MAX)));
    let (reason, message) = refusal(verify(&verifier, &huge));
    assert!(reason == INVALID && message.ends_with("bytes, the limit is 16384"), "{message}");
    let large = signer.sign(&with(claims(), "x", "a".repeat(11_000)));
    assert!(large.len() < TOKEN_BYTES_MAX);
    verify(&verifier, &large).expect("below the limit");
}

#[test]
fn nested_and_malformed_headers_and_payloads_are_refused() {
    let signer = Signer::ed25519("a");
    let (verifier, _) = verifier(&[&signer], |_| {});
    let nested = format!("{}{}", "[".repeat(4_000), "]".repeat(4_000));
    let object = format!("{}1{}", "{\"a\":".repeat(1_000), "}".repeat(1_000));
    let header = base64(json!({"alg": "EdDSA", "kid": "a"}).to_string());
    for text in
        [nested.as_str(), object.as_str(), "", "null", "{", "{}", "{\"alg\":\"EdDSA\",\"kid\":7}", "\u{ff}"]
    {
        for token in [format!("{}.e30.e30", base64(text)), format!("{header}.{}.e30", base64(text))] {
            assert_eq!(refusal(verify(&verifier, &token)).0, INVALID, "{token}");
        }
    }
    let claims = claims();
    for header in [
        json!({"alg": "EdDSA", "kid": "a", "crit": ["exp"]}),
        json!({"alg": "EdDSA", "kid": "a", "crit": [], "b64": false}),
        json!({"alg": ["EdDSA"], "kid": "a"}),
        json!({"kid": "a"}),
    ] {
        let (reason, _) = refusal(verify(&verifier, &signer.sign_with(&header, &claims)));
        assert_eq!(reason, INVALID, "{header}");
    }
    let twice = base64("{\"alg\":\"EdDSA\",\"kid\":\"a\",\"alg\":\"none\"}");
    let (_, message) = refusal(verify(&verifier, &format!("{twice}.e30.e30")));
    assert!(message.contains("header"), "{message}");
    let token = signer.sign(&claims);
    for token in [format!("{token}="), format!("{token}.x"), format!(" {token}"), token.replace('.', "..")] {
        assert_eq!(refusal(verify(&verifier, &token)).0, INVALID, "{token}");
    }
}

#[test]
fn a_claim_that_is_there_twice_is_refused() {
    let signer = Signer::ed25519("a");
    let (verifier, _) = verifier(&[&signer], |_| {});
    let header = json!({"alg": "EdDSA", "kid": "a"}).to_string();
    for (name, value) in
        [("sub", "\"bob\""), ("exp", "9999999999"), ("s\\u0075b", "\"bob\""), ("x", "1,\"x\":2")]
    {
        let text = claims().to_string().replace('}', &format!(",\"{name}\":{value}}}"));
        let (_, message) = refusal(verify(&verifier, &signer.sign_text(&header, &text)));
        assert!(message.contains("the same claim twice"), "{text}: {message}");
    }
}

#[test]
fn no_message_repeats_the_token() {
    let signer = Signer::ed25519("a");
    let (verifier, _) = verifier(&[&signer], |_| {});
    let secret = "s3cret-subject with spaces";
    let claims = with(claims(), "sub", secret);
    let header = json!({"alg": "s3cret-alg", "kid": "s3cret-kid"});
    for token in [signer.sign(&claims), signer.sign_with(&header, &claims), "s3cret".to_owned()] {
        let (_, message) = refusal(verify(&verifier, &token));
        assert!(!message.contains("s3cret"), "{message}");
    }
}
