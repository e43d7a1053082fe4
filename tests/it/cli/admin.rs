//! `info`, `queues` and `completion`, and that no command ignores `-o json`.

use jobstream::proto::v1::{
    DrainWorkerResponse, GetServerInfoResponse, Job, Limits, ListJobsResponse, ListQueuesResponse,
    ListWorkersResponse, PauseQueueResponse, PurgeQueueResponse, Queue, ResumeQueueResponse, StateCounts,
    WaitReason, Worker,
};
use serde_json::Value;

use super::fake::{Fake, Watching};
use super::*;

fn queue() -> Queue {
    let counts = StateCounts { queued: 7, ..StateCounts::default() };
    Queue { queue: "default".to_owned(), counts: Some(counts), ..Queue::default() }
}

#[tokio::test]
async fn a_list_needs_no_answer_about_the_grants_of_its_caller() {
    let fake = Fake::start().await;
    fake.script().hides_caller = true;
    fake.script().queues.extend([Ok(ListQueuesResponse { queues: vec![queue()], ..Default::default() })]);
    fake.script().list.extend([Ok(ListJobsResponse::default()), Ok(ListJobsResponse::default())]);
    fake.script().workers.extend([Ok(ListWorkersResponse::default()), Ok(ListWorkersResponse::default())]);
    fake.script().submit.extend([accepted_unserved()]);
    let patient = |args: &[&str]| client(fake.address, &[args, &["--rpc-timeout", "1h"]].concat());
    let ran = run(&mut patient(&["queues", "ls"])).await.exits(0);
    assert_eq!(ran.stdout, "default\tno\t0\t7\t0\t0\t0\t0\t\n");
    let ran = run(&mut patient(&["workers", "ls"])).await.exits(0);
    assert_eq!(ran.stderr, "no worker is connected: jobs wait\n");
    let ran = run(&mut patient(&["jobs", "ls"])).await.exits(0);
    assert_eq!(ran.stderr, "no jobs match\n");
    run(&mut patient(&["jobs", "cancel", "--kind", "k", "--yes"])).await.exits(0).prints(&["no jobs match"]);
    run(&mut patient(&["submit", "k"])).await.exits(0).prints(&["no worker serves k"]);
}

/// A submit that no worker serves.
fn accepted_unserved() -> Result<SubmitResponse, Status> {
    let mut answer = accepted()?;
    answer.set_wait_reason(WaitReason::NoWorker);
    Ok(answer)
}

#[tokio::test]
async fn a_purge_without_a_terminal_needs_a_confirmation_flag() {
    let fake = Fake::start().await;
    run(&mut client(fake.address, &["queues", "purge", "default"])).await.exits(2).prints(&["--yes"]);
    assert_eq!(fake.script().purged.len(), 0);
    fake.script().purge.extend([Ok(PurgeQueueResponse { purged: 7 })]);
    let ran = run(&mut client(fake.address, &["queues", "purge", "default", "--yes"])).await.exits(0);
    assert_eq!(ran.stdout, "default\t7\n");
}

#[tokio::test]
async fn a_table_to_a_pipe_is_aligned_on_request() {
    let fake = Fake::start().await;
    let page = || Ok(ListQueuesResponse { queues: vec![queue()], ..ListQueuesResponse::default() });
    fake.script().queues.extend([page(), page()]);
    let ran = run(&mut client(fake.address, &["queues", "ls", "-o", "table"])).await.exits(0);
    assert!(ran.stdout.starts_with("QUEUE    PAUSED  SCHEDULED  QUEUED"), "{}", ran.stdout);
    let ran = run(&mut client(fake.address, &["queues", "ls"])).await.exits(0);
    assert_eq!(ran.stdout, "default\tno\t0\t7\t0\t0\t0\t0\t\n");
}

#[tokio::test]
async fn no_command_ignores_json() {
    let fake = Fake::start().await;
    let commands: [&[&str]; 16] = [
        &["submit", "k"],
        &["submit", "k", "--wait"],
        &["submit", "k", "--watch"],
        &["run", "k"],
        &["result", ID],
        &["jobs", "ls"],
        &["jobs", "get", ID],
        &["jobs", "cancel", ID],
        &["jobs", "retry", ID],
        &["jobs", "rm", ID],
        &["queues", "ls"],
        &["queues", "pause", "default"],
        &["queues", "purge", "default", "--yes"],
        &["workers", "ls"],
        &["workers", "drain", "w7"],
        &["info"],
    ];
    for args in commands {
        for format in ["json", "jsonl"] {
            answer_anything(&fake);
            let args = [args, &["-o", format]].concat();
            let ran = run(&mut client(fake.address, &args)).await.exits(0);
            let values = serde_json::Deserializer::from_str(&ran.stdout).into_iter::<Value>();
            let values: Vec<_> =
                values.collect::<Result<_, _>>().unwrap_or_else(|_| panic!("{args:?}: {}", ran.stdout));
            assert!(!values.is_empty(), "{args:?}");
            if format == "jsonl" {
                assert_eq!(values.len(), ran.stdout.lines().count(), "{args:?}: {}", ran.stdout);
            }
        }
    }
}

fn answer_anything(fake: &Fake) {
    let mut script = fake.script();
    let job = Job { job_id: ID.to_owned(), ..Job::default() };
    let jobs = ListJobsResponse { jobs: vec![job.clone()], ..ListJobsResponse::default() };
    let queues = ListQueuesResponse { queues: vec![queue()], ..ListQueuesResponse::default() };
    let info = GetServerInfoResponse { limits: Some(Limits::default()), ..GetServerInfoResponse::default() };
    script.submit = [accepted()].into();
    script.result = [ended(succeeded("x"))].into();
    script.watch = [Watching { messages: vec![end(1, succeeded("x"))], ..Watching::default() }].into();
    script.list = [Ok(jobs)].into();
    script.get = [Ok(jobstream::proto::v1::GetJobResponse { job: Some(job) })].into();
    script.cancel = [Ok(Default::default())].into();
    script.retry = [Ok(Default::default())].into();
    script.delete = [Ok(Default::default())].into();
    script.queues = [Ok(queues)].into();
    script.pause = [Ok(PauseQueueResponse { queue: Some(queue()) })].into();
    script.resume = [Ok(ResumeQueueResponse { queue: Some(queue()) })].into();
    script.purge = [Ok(PurgeQueueResponse { purged: 1 })].into();
    let workers = vec![Worker::default()];
    script.workers = [Ok(ListWorkersResponse { workers: workers.clone(), ..Default::default() })].into();
    script.drain = [Ok(DrainWorkerResponse { workers })].into();
    script.info = [Ok(info)].into();
}

#[tokio::test]
async fn an_unknown_queue_is_reported() {
    let fake = Fake::start().await;
    fake.script().resume.extend([Err(refusal(Code::NotFound, "QUEUE_NOT_FOUND"))]);
    let args = ["queues", "resume", "nowhere"];
    run(&mut client(fake.address, &args)).await.exits(5).prints(&["QUEUE_NOT_FOUND", "jobstream queues ls"]);
}

#[tokio::test]
async fn every_shell_has_a_completion_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(&mut jobstream(&["completion", shell])).await.exits(0);
        assert!(ran.stdout.contains("submit"), "{shell}");
    }
}
