//! Every message of the server stays below 4 MiB encoded, the default limit of clients.

mod admin;
mod jobs;
mod leases;
mod streams;

use std::collections::HashMap;

use jobstream::proto::v1;
use prost::Message;

use crate::support::{TestServer, job, wait_for};

/// The limit of a message with several elements.
const BYTES_MAX: usize = (4 << 20) - (64 << 10);

#[track_caller]
fn assert_fits(message: &impl Message) {
    assert!(message.encoded_len() <= BYTES_MAX, "{} bytes", message.encoded_len());
}

/// Returns the maximal number of labels or headers, each of maximal length.
fn max_entries() -> HashMap<String, String> {
    (0..16).map(|number| (format!("{number:064}"), "v".repeat(256))).collect()
}

/// Returns a job for a remote worker with names, labels and headers of maximal length.
fn job_with_max_metadata() -> v1::JobSpec {
    v1::JobSpec { labels: max_entries(), headers: max_entries(), ..job("remote") }
}

/// Returns a spec with the maximal number of violations.
fn invalid_job() -> v1::JobSpec {
    let entry = |number| (format!("{number}\u{7f}{}", "k".repeat(61)), "\u{1}".repeat(300));
    let entries: HashMap<_, _> = (0..16).map(entry).collect();
    v1::JobSpec { labels: entries.clone(), headers: entries, queue: "?".repeat(500), ..job("!") }
}

async fn submit_all(server: &TestServer, jobs: Vec<v1::JobSpec>) -> Vec<String> {
    let mut ids = Vec::new();
    for part in jobs.chunks(300) {
        let request = v1::BatchSubmitRequest { jobs: part.to_vec(), atomic: true };
        let answer = wait_for("BatchSubmit answers", server.jobs().batch_submit(request)).await;
        ids.extend(answer.expect("all are accepted").into_inner().results.into_iter().map(|one| {
            match one.result.expect("a result") {
                v1::submit_result::Result::Submitted(submitted) => submitted.job_id,
                v1::submit_result::Result::Error(error) => panic!("refused: {error:?}"),
            }
        }));
    }
    ids
}
