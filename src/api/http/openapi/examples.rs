//! Examples of request bodies.

use serde_json::{Value, json};

/// The examples of the body of this RPC, by name.
pub(super) fn of(method: &str) -> Vec<(String, Value)> {
    let examples = match method {
        "Submit" => vec![
            (
                "json",
                "A payload of JSON",
                json!({ "kind": "demo.count", "payload": { "json": { "to": 3 } } }),
            ),
            (
                "options",
                "An id that makes the request safe to repeat, three attempts, a delay and a label",
                json!({
                    "jobId": "0190c0de-0000-7000-8000-000000000001",
                    "kind": "demo.echo",
                    "queue": "mail",
                    "payload": { "text": "hello", "contentType": "text/plain" },
                    "startDelay": "30s",
                    "retry": { "maxAttempts": 3, "initialBackoff": "2s" },
                    "labels": { "customer": "42" },
                }),
            ),
        ],
        "BatchSubmit" => vec![(
            "two",
            "Two jobs, both or none",
            json!({ "jobs": [{ "kind": "demo.echo" }, { "kind": "demo.count" }], "atomic": true }),
        )],
        "Run" => vec![(
            "count",
            "A job and all its events",
            json!({ "job": { "kind": "demo.count", "payload": { "json": { "to": 3 } } } }),
        )],
        "Cancel" => vec![("reason", "With a reason", json!({ "reason": "no longer needed", "grace": "5s" }))],
        "Retry" => vec![("same", "The same job once more", json!({}))],
        "Lease" => vec![(
            "wait",
            "Waits for one job",
            json!({ "name": "shell", "kinds": ["resize"], "maxJobs": 1, "wait": "30s" }),
        )],
        "Report" => vec![(
            "complete",
            "Ends an attempt with a result",
            json!({ "reports": [{
                "leaseId": "0190c0de000070008000000000000001",
                "complete": { "result": { "json": { "width": 640 } } },
            }] }),
        )],
        _ => Vec::new(),
    };
    let example = |(name, summary, value): (&str, &str, Value)| {
        (name.to_owned(), json!({ "summary": summary, "value": value }))
    };
    examples.into_iter().map(example).collect()
}
