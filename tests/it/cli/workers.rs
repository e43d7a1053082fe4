//! `workers ls` and `workers drain`: requests, output and exit codes. Invalid options of `worker`.

use jobstream::proto::v1::{DrainWorkerResponse, ListWorkersResponse, Worker, WorkerLink, WorkerState};
use prost_types::Timestamp;
use serde_json::{Value, json};

use super::fake::Fake;
use super::*;

fn worker(id: &str) -> Worker {
    let mut worker = Worker {
        worker_id: id.to_owned(),
        name: "resizer".to_owned(),
        kinds: (1..=8).map(|number| format!("kind-{number}")).collect(),
        slots: 8,
        slots_taken: 3,
        create_time: Some(Timestamp { seconds: 0, nanos: 0 }),
        last_heard_age: Some(prost_types::Duration { seconds: 2, nanos: 0 }),
        sdk: "rust/0.1.0".to_owned(),
        address: "10.0.0.9:4711".to_owned(),
        ..Worker::default()
    };
    worker.set_link(WorkerLink::Stream);
    worker.set_state(WorkerState::Disconnected);
    worker
}

fn page(ids: &[&str], next: &str) -> Result<ListWorkersResponse, Status> {
    let workers = ids.iter().map(|id| worker(id)).collect();
    Ok(ListWorkersResponse { workers, next_page_token: next.to_owned() })
}

#[tokio::test]
async fn a_list_of_workers_has_all_pages() {
    let fake = Fake::start().await;
    fake.script().workers.extend([page(&["w1", "w2"], "more"), page(&["w3"], "")]);
    let ran = run(&mut client(fake.address, &["workers", "ls"])).await.exits(0);
    let kinds = "kind-1,kind-2,kind-3,kind-4,kind-5,kind-6,kind-7,kind-8";
    let line =
        |id| format!("{id}\tresizer\tSTREAM\tDISCONNECTED\t3/8\t{kinds}\t*\t2s\trust/0.1.0\t10.0.0.9:4711\n");
    assert_eq!(ran.stdout, ["w1", "w2", "w3"].map(line).concat());
    let tokens: Vec<_> =
        fake.script().workers_listed.iter().map(|request| request.page_token.clone()).collect();
    assert_eq!(tokens, ["", "more"]);
}

#[tokio::test]
async fn a_table_of_workers_truncates_the_kinds() {
    let fake = Fake::start().await;
    fake.script().workers.push_back(page(&["w1"], ""));
    let ran = run(&mut client(fake.address, &["workers", "ls", "-o", "table"])).await.exits(0);
    let lines: Vec<_> = ran.stdout.lines().collect();
    let header: Vec<_> = lines[0].split_whitespace().collect();
    assert_eq!(header, ["ID", "NAME", "LINK", "STATE", "SLOTS", "KINDS", "QUEUES", "SEEN", "SDK", "ADDRESS"]);
    assert!(lines[1].contains("kind-6,+2") && !lines[1].contains("kind-7"), "{}", ran.stdout);
}

#[tokio::test]
async fn json_has_every_field_of_a_worker() {
    let fake = Fake::start().await;
    fake.script().workers.push_back(page(&["w1"], ""));
    let ran = run(&mut client(fake.address, &["workers", "ls", "-o", "jsonl"])).await.exits(0);
    let shown: Value = serde_json::from_str(&ran.stdout).expect("one object");
    let expected = json!({
        "workerId": "w1", "name": "resizer", "link": "STREAM", "state": "DISCONNECTED",
        "kinds": worker("w1").kinds, "queues": [], "slots": 8, "slotsTaken": 3,
        "createTime": "1970-01-01T00:00:00Z", "lastHeardAge": "2s",
        "sdk": "rust/0.1.0", "address": "10.0.0.9:4711", "kindsTotal": 0, "queuesTotal": 0,
    });
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn an_empty_list_of_workers_is_reported() {
    let fake = Fake::start().await;
    fake.script().workers.push_back(page(&[], ""));
    let ran = run(&mut client(fake.address, &["workers", "ls"])).await.exits(0).prints(&["no worker"]);
    assert_eq!(ran.stdout, "");
}

#[tokio::test]
async fn a_drain_prints_the_workers_and_the_timeout() {
    let fake = Fake::start().await;
    let workers = vec![worker("w1"), worker("w2")];
    fake.script().drain.push_back(Ok(DrainWorkerResponse { workers }));
    let args = ["workers", "drain", "resizer", "--within", "90s"];
    let ran = run(&mut client(fake.address, &args)).await.exits(0);
    assert!(ran.stdout.starts_with("w1\tresizer\t") && ran.stdout.contains("\nw2\t"), "{}", ran.stdout);
    ran.prints(&["draining 2 workers with 6 jobs running, up to 1m 30s"]);
    let script = fake.script();
    assert_eq!((script.drained[0].worker.as_str(), script.drained.len()), ("resizer", 1));
    assert_eq!(script.drained[0].within.map(|within| within.seconds), Some(90));
}

#[tokio::test]
async fn an_unknown_worker_is_reported() {
    let fake = Fake::start().await;
    fake.script().drain.push_back(Err(refusal(Code::NotFound, "WORKER_NOT_FOUND")));
    let args = ["workers", "drain", "w9"];
    run(&mut client(fake.address, &args))
        .await
        .exits(5)
        .prints(&["WORKER_NOT_FOUND", "jobstream workers ls"]);
}

#[tokio::test]
async fn a_worker_without_programs_or_with_invalid_names_is_rejected() {
    let empty = super::config::config_file("worker-empty.toml", "");
    let listen = super::config::config_file("worker-listen.toml", "listen = '127.0.0.1:1'");
    let (empty, listen) = (empty.to_str().expect("UTF-8"), listen.to_str().expect("UTF-8"));
    let cases: [(&[&str], &str); 6] = [
        (&[], "--exec"),
        (&["--config", empty], "nothing to run"),
        (&["--config", listen], "unknown key \"listen\""),
        (&["--exec", "a b=true"], "a b"),
        (&["--exec", "k=true", "--name", "two words"], "two words"),
        (&["--exec", "k=true", "--queue", "?"], "queue"),
    ];
    for (args, message) in cases {
        run(&mut jobstream(&[&["worker"], args].concat())).await.exits(2).prints(&[message]);
    }
}

#[tokio::test]
async fn a_worker_ends_if_the_server_does_not_support_workers() {
    let fake = Fake::start().await;
    let args = ["worker", "--exec", "k=true"];
    run(&mut client(fake.address, &args)).await.exits(10).prints(&["is this a jobstream server"]);
}
