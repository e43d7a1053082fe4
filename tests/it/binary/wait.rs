//! Waiting for a job with a retention of zero.

use crate::support::Dev;

/// An earlier bug lost a few in a hundred.
const BATCHES: usize = 10;
const BATCH: usize = 20;

#[tokio::test]
async fn no_form_of_wait_misses_the_end_of_a_job_without_retention() {
    let dev = Dev::start(&["--exec", "print=cat"]).await;
    for form in [
        "run demo.echo 1 -q --retention 0",
        "run print 1 -q --retention 0",
        "run demo.echo 1 -q --retention 0 -o json",
        "submit demo.echo 1 -q --retention 0 --wait",
        "submit print 1 -q --retention 0 --wait -o json",
        "submit demo.echo 1 -q --retention 0 --watch",
    ] {
        let script = format!(
            "for n in $(seq {BATCH}); do jobstream {form} >/dev/null 2>&1 || echo lost; done | wc -l"
        );
        for _ in 0..BATCHES {
            assert_eq!(dev.sh(&script).await.trim(), "0", "lost of {BATCH}: {form}");
        }
    }
}
