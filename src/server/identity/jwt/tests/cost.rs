//! What a verification costs. `cargo test --release jwt::tests::cost -- --ignored --nocapture` prints it.

use std::time::Instant;

use super::issuer::{Signer, claims};
use super::{verifier, verify, with};

#[test]
#[ignore = "a measurement"]
fn cost_of_a_verification_and_of_a_cached_token() {
    const TOKENS: usize = 2_000;
    for signer in Signer::all() {
        let (verifier, _) = verifier(&[&signer], |_| {});
        let tokens: Vec<_> = (0..TOKENS).map(|number| signer.sign(&with(claims(), "jti", number))).collect();
        let measure = |what: &str| {
            let start = Instant::now();
            for token in &tokens {
                verify(&verifier, token).expect("a valid token");
            }
            let each = start.elapsed().as_nanos() as f64 / TOKENS as f64 / 1e3;
            println!("{} {what}: {each:.2} us, {} bytes", signer.algorithm(), tokens[0].len());
        };
        measure("verified");
        measure("cached");
    }
}
