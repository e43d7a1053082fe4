//! The access matrix: every RPC and every HTTP route, each with every kind of caller and of job.
//!
//! The calls come from the files of the API and from its OpenAPI document. A call without a rule fails the test.

mod callers;
mod calls;
mod rules;

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use callers::{Caller, Callers, Job};
use calls::{Call, Outcome};
use rules::{Rule, rule_of};

/// The names of all RPCs: `JobService.Submit`.
fn rpcs() -> BTreeSet<String> {
    let mut rpcs = BTreeSet::new();
    for entry in fs::read_dir("proto/jobstream/v1").expect("the API") {
        let text = fs::read_to_string(entry.expect("an entry").path()).expect("a file");
        let mut service = "";
        for line in text.lines() {
            let mut words =
                line.split(|c: char| c.is_whitespace() || "({".contains(c)).filter(|word| !word.is_empty());
            match (words.next(), words.next()) {
                (Some("service"), Some(name)) => service = name,
                (Some("rpc"), Some(name)) => drop(rpcs.insert(format!("{service}.{name}"))),
                _ => {}
            }
        }
    }
    assert!(rpcs.len() > 20, "{rpcs:?}");
    rpcs
}

/// The HTTP routes: method, path, and the RPC or the part of it.
fn routes() -> Vec<(String, String, String)> {
    let text = fs::read_to_string("docs/openapi.json").expect("the document");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let name = operation["operationId"].as_str().expect("an id").replace('_', ".");
            routes.push((method.to_uppercase(), path.clone(), name));
        }
    }
    assert!(routes.len() > 20, "{routes:?}");
    routes
}

/// Every call, over gRPC and over HTTP.
fn all_calls() -> Vec<Call> {
    let grpc = rpcs().into_iter().map(Call::grpc);
    let http = routes().into_iter().map(|(method, path, name)| Call::http(&method, &path, &name));
    grpc.chain(http).collect()
}

#[tokio::test]
async fn a_call_without_a_valid_credential_is_refused() {
    let callers = Callers::start().await;
    let job = callers.job("alice", "mail").await;
    for call in all_calls() {
        // A call without a rule fails here.
        let is_open = rule_of(&call.name) == Rule::Open;
        for (credential, reason) in callers.bad_credentials() {
            let (outcome, body) = call.send(&callers, credential.as_deref(), &job).await;
            if is_open {
                assert_eq!(outcome, Outcome::Permitted, "{call:?} {reason}: {body}");
                assert!(!body.contains(&job.secret()) && !body.contains(&job.id), "{call:?}: {body}");
                continue;
            }
            assert_eq!(outcome, Outcome::Unauthenticated, "{call:?} {reason}: {body}");
            assert!(body.contains(reason) && !body.contains(&job.secret()), "{call:?} {reason}: {body}");
        }
    }
}

#[tokio::test]
async fn each_grant_permits_its_calls_and_no_others() {
    let callers = Callers::start().await;
    let mut cells = 0;
    for caller in callers.limited() {
        for call in all_calls() {
            for (owner, queue) in [("alice", "mail"), ("bob", "mail"), ("bob", "other")] {
                let job = callers.job(owner, queue).await;
                check_cell(&callers, caller, &call, &job).await;
                cells += 1;
            }
        }
    }
    assert!(cells > 1_000, "{cells} cells");
}

#[tokio::test]
async fn a_minted_token_permits_to_read_its_job_and_nothing_else() {
    let callers = Callers::start().await;
    for call in all_calls() {
        for owner in ["alice", "bob"] {
            let job = callers.job(owner, "mail").await;
            let reader = callers.mint(&job).await;
            check_cell(&callers, &reader, &call, &job).await;
            let other = callers.job(owner, "mail").await;
            check_cell(&callers, &reader, &call, &other).await;
        }
    }
}

#[tokio::test]
async fn a_feed_has_the_jobs_that_the_caller_may_list_and_no_others() {
    let callers = Callers::start().await;
    let mut everything = callers.feed_of_owner().await;
    let mut feeds = Vec::new();
    for caller in callers.limited().iter().filter(|caller| caller.may_some("list")) {
        feeds.push((caller, callers.feed(&caller.token).await));
    }
    let mut jobs = Vec::new();
    for (owner, queue) in [("alice", "mail"), ("bob", "mail"), ("bob", "other")] {
        jobs.push(callers.job(owner, queue).await);
    }
    let end = everything.read_changes(3 * jobs.len()).await;
    for (caller, mut feed) in feeds {
        let expected: BTreeSet<_> =
            jobs.iter().filter(|job| caller.may("list", job)).map(|job| job.id.clone()).collect();
        assert_eq!(feed.read_to(&end).await, expected, "{:?}", caller.grants);
    }
}

async fn check_cell(callers: &Callers, caller: &Caller, call: &Call, job: &Job) {
    let expected = rule_of(&call.name).outcome(caller, job);
    let (outcome, body) = call.send(callers, Some(&caller.token), job).await;
    let cell = format!("{:?}, {call:?}, {job:?}: {body}", caller.grants);
    assert_eq!(outcome, expected, "{cell}");
    let may_read = caller.may("read", job);
    assert!(may_read || !body.contains(&job.secret()), "{cell}");
    // An error may repeat the id that the caller sent. Another answer must not confirm it.
    let confirms_id = outcome == Outcome::Permitted && body.contains(&job.id);
    assert!(!confirms_id || may_read || caller.may("list", job), "{cell}");
}
