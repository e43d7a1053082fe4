//! Data of jobs on a terminal: what could steer it is shown, never obeyed. The terminal is a real one.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use jobstream::proto::v1::{
    GetJobResponse, GetServerInfoResponse, Job, JobSpec, ListJobsResponse, ListQueuesResponse,
    ListWorkersResponse, Log, Output, Progress, Queue, Worker,
};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::fake::{Fake, Watching};
use super::*;

/// Sets a title, colours, erases, turns the direction of text, and says nothing.
const EVIL: &str = "x\u{1b}]0;pwned\u{7}\u{1b}[31;1337m\u{9b}2J\u{7f}\u{202e}\u{2067}\u{200f}\u{61c}y";
/// None of our own sequences has these.
const OBEYED: [&str; 9] = [
    "\u{1b}]",
    "\u{7}",
    "\u{1b}[31;1337m",
    "\u{9b}",
    "\u{7f}",
    "\u{202e}",
    "\u{2067}",
    "\u{200f}",
    "\u{61c}",
];

/// Runs the command on a terminal; answers everything it wrote there.
async fn on_terminal(mut command: Command) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("a terminal");
    let name = ptsname(&terminal, Vec::new()).expect("a name");
    let screen = || -> OwnedFd {
        rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("its other side")
    };
    command.stdout(screen()).stderr(screen());
    let mut child = command.env("TERM", "xterm").spawn().expect("it starts");
    // The other side is closed here, so that the end of the command ends the reading.
    drop(command);
    let read = tokio::task::spawn_blocking(move || {
        let mut shown = Vec::new();
        // A terminal without another side ends with an error.
        let _ = File::from(terminal).read_to_end(&mut shown);
        shown
    });
    let shown = time::timeout(PATIENCE, read).await.expect("it ends in time").expect("it is read");
    time::timeout(PATIENCE, child.wait()).await.expect("it ends in time").expect("a status");
    String::from_utf8_lossy(&shown).into_owned()
}

fn evil() -> String {
    EVIL.to_owned()
}

fn evil_events(end_as: (JobState, End)) -> Watching {
    let failure = Failure { message: evil(), r#type: evil(), attempt: 1, ..Failure::default() };
    let retried =
        StateChange { state: JobState::Scheduled.into(), failure: Some(failure), ..StateChange::default() };
    let messages = vec![
        change(1, JobState::Running),
        event(2, Event::Output(Output { payload: Some(text(EVIL)), channel: evil() })),
        event(3, Event::Log(Log { text: evil(), ..Log::default() })),
        event(4, Event::Progress(Progress { message: evil(), unit: evil(), ..Progress::default() })),
        event(5, Event::StateChange(retried)),
        end(6, end_as),
    ];
    Watching { messages, ..Watching::default() }
}

fn evil_failure() -> (JobState, End) {
    let details = Some(text(EVIL));
    (
        JobState::Failed,
        End::Failure(Failure { message: evil(), r#type: evil(), details, ..Failure::default() }),
    )
}

fn evil_job() -> Job {
    let pairs = [(evil(), evil())];
    let spec = JobSpec {
        kind: evil(),
        queue: evil(),
        labels: pairs.clone().into(),
        headers: pairs.into(),
        payload: Some(text(EVIL)),
        ..JobSpec::default()
    };
    let (state, end) = evil_failure();
    let outcome = Some(Outcome { end: Some(end) });
    Job { job_id: evil(), spec: Some(spec), state: state.into(), outcome, ..Job::default() }
}

/// Answers to every command, each with the worst of data.
fn prepare(fake: &Fake) {
    let mut script = fake.script();
    script.submit.push_back(accepted());
    script.watch.push_back(evil_events(succeeded(EVIL)));
    script.result.push_back(ended(succeeded(EVIL)));
    script.get.push_back(Ok(GetJobResponse { job: Some(evil_job()) }));
    script.list.push_back(Ok(ListJobsResponse { jobs: vec![evil_job()], ..Default::default() }));
    let queue = Queue { queue: evil(), unserved_kinds: vec![evil()], ..Queue::default() };
    script.queues.push_back(Ok(ListQueuesResponse { queues: vec![queue], ..Default::default() }));
    let worker = Worker { name: evil(), worker_id: evil(), kinds: vec![evil()], ..Worker::default() };
    script.workers.push_back(Ok(ListWorkersResponse { workers: vec![worker], ..Default::default() }));
    let info = GetServerInfoResponse { version: evil(), kinds: vec![evil()], ..Default::default() };
    script.info.push_back(Ok(info));
}

#[tokio::test]
async fn no_data_of_a_job_steers_a_terminal() {
    let commands: [&[&str]; 8] = [
        &["run", "k"],
        &["submit", "k", "--wait"],
        &["watch", ID],
        &["result", ID],
        &["jobs", "get", ID],
        &["jobs", "ls"],
        &["queues", "ls"],
        &["workers", "ls"],
    ];
    let info: &[&str] = &["info"];
    for args in commands.into_iter().chain([info]) {
        for format in ["table", "json", "jsonl"] {
            let fake = Fake::start().await;
            prepare(&fake);
            let shown = on_terminal(client(fake.address, &[args, &["-o", format]].concat())).await;
            for obeyed in OBEYED {
                assert!(!shown.contains(obeyed), "{args:?} {format} obeys {obeyed:?}: {shown:?}");
            }
            let escape = if format == "table" { "\\u{202e}" } else { "\\u202e" };
            assert!(shown.contains(escape), "{args:?} {format} shows nothing of it: {shown:?}");
        }
    }
}

#[tokio::test]
async fn no_failure_and_no_error_of_a_server_steers_a_terminal() {
    let fake = Fake::start().await;
    fake.script().submit.push_back(accepted());
    fake.script().watch.push_back(evil_events(evil_failure()));
    let failed = on_terminal(client(fake.address, &["run", "k"])).await;
    let mut details = ErrorDetails::with_error_info("INVALID_FIELD", "jobstream", HashMap::new());
    details.add_bad_request_violation(EVIL, EVIL);
    fake.script().result.push_back(Err(Status::with_error_details(Code::InvalidArgument, EVIL, details)));
    let refused = on_terminal(client(fake.address, &["result", ID])).await;
    for shown in [failed, refused] {
        assert!(OBEYED.iter().all(|obeyed| !shown.contains(obeyed)), "{shown:?}");
        assert!(shown.contains("error:") && shown.contains("\\u{1b}]0;pwned"), "{shown:?}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_escapes_on_a_terminal() {
    let fake = Fake::start().await;
    let body = Some(payload::Body::Data(b"a\x9b2J\xff\n".to_vec().into()));
    let end = End::Result(Payload { body, ..Payload::default() });
    fake.script().result.push_back(ended((JobState::Succeeded, end)));
    let shown = on_terminal(client(fake.address, &["result", ID])).await;
    assert_eq!(shown, "a\\x9b2J\\xff\r\n");
}

#[tokio::test]
async fn a_pipe_and_raw_get_the_bytes() {
    let fake = Fake::start().await;
    fake.script().result.extend([ended(succeeded(EVIL)), ended(succeeded(EVIL))]);
    let piped = run(&mut client(fake.address, &["result", ID])).await.exits(0);
    assert_eq!(piped.stdout, EVIL);
    let shown = on_terminal(client(fake.address, &["result", ID, "--raw"])).await;
    assert_eq!(shown, format!("{EVIL}\r\n"));
}
