//! Arbitrary and damaged tokens: a refusal, and no panic.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::super::JwtVerifier;
use super::issuer::{Signer, base64, claims};
use super::{Verification, verifier};

static GENUINE: LazyLock<(JwtVerifier, [String; 3])> = LazyLock::new(|| {
    let signers = Signer::all();
    let (verifier, _) = verifier(&signers.each_ref(), |_| {});
    (verifier, signers.map(|signer| signer.sign(&claims())))
});

fn is_refused(token: &str) -> bool {
    // A token with an unknown key waits.
    !matches!(GENUINE.0.verify(token), Ok(Verification::Ready(_)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_text_is_refused(text in ".{0,200}") {
        prop_assert!(is_refused(&text));
    }

    #[test]
    fn arbitrary_parts_are_refused(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..5)) {
        let parts: Vec<_> = parts.into_iter().map(base64).collect();
        prop_assert!(is_refused(&parts.join(".")));
    }

    #[test]
    fn arbitrary_payloads_with_a_genuine_header_are_refused(payload in ".{0,80}", signature in any::<[u8; 64]>()) {
        for token in &GENUINE.1 {
            let (header, _) = token.split_once('.').unwrap();
            let forged = format!("{header}.{}.{}", base64(&payload), base64(signature));
            prop_assert!(is_refused(&forged));
        }
    }

    #[test]
    fn a_token_with_a_changed_character_is_refused(at in any::<prop::sample::Index>(), c in "[A-Za-z0-9_.=-]") {
        for token in &GENUINE.1 {
            let at = at.index(token.len());
            let mut changed = token.clone();
            changed.replace_range(at..=at, &c);
            prop_assert!(changed == *token || is_refused(&changed), "{changed}");
        }
    }

    #[test]
    fn a_cut_token_is_refused(at in any::<prop::sample::Index>()) {
        for token in &GENUINE.1 {
            prop_assert!(is_refused(&token[..at.index(token.len())]));
        }
    }
}
