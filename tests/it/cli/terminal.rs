//! Job data on a terminal: control sequences are escaped. The tests use a pseudo terminal.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use jobstream::proto::v1::{
    Attempt, GetJobResponse, GetServerInfoResponse, Job, JobSpec, ListJobsResponse, ListQueuesResponse,
    ListWorkersResponse, Log, Output, Progress, Queue, Worker,
};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::fake::{Fake, Watching};
use super::*;

/// Control sequences: title, colours, erase, bell and text direction.
const CONTROL_SEQUENCES: &str =
    "x\u{1b}]0;pwned\u{7}\u{1b}[31;1337m\u{9b}2J\u{7f}\u{202e}\u{2067}\u{200f}\u{61c}y";
/// Sequences that the command line itself never writes.
const UNESCAPED: [&str; 9] = [
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

/// Runs a command on a terminal and returns its output.
async fn on_terminal(command: Command) -> String {
    on_terminal_of_width(command, 1_000).await
}

/// A pseudo terminal of this width: the side of the test, and a function that opens the side of a command.
pub(crate) fn open_terminal(width: u16) -> (OwnedFd, impl Fn() -> OwnedFd) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("a terminal");
    let name = ptsname(&terminal, Vec::new()).expect("a name");
    let size = Winsize { ws_col: width, ws_row: 24, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).expect("a terminal has a size");
    let screen = move || {
        rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("its other side")
    };
    (terminal, screen)
}

async fn on_terminal_of_width(mut command: Command, width: u16) -> String {
    let (terminal, screen) = open_terminal(width);
    command.stdout(screen()).stderr(screen());
    let mut child = command.env("TERM", "xterm").spawn().expect("the command starts");
    // Closes the other side, so that the read ends with the command.
    drop(command);
    let read = tokio::task::spawn_blocking(move || {
        let mut shown = Vec::new();
        // A read without another side fails.
        let _ = File::from(terminal).read_to_end(&mut shown);
        shown
    });
    let shown = time::timeout(TIMEOUT, read).await.expect("the command ends in time").expect("it is read");
    time::timeout(TIMEOUT, child.wait()).await.expect("the command ends in time").expect("a status");
    String::from_utf8_lossy(&shown).into_owned()
}

fn hostile_text() -> String {
    CONTROL_SEQUENCES.to_owned()
}

fn hostile_events(end_as: (JobState, End)) -> Watching {
    let failure =
        Failure { message: hostile_text(), r#type: hostile_text(), attempt: 1, ..Failure::default() };
    let retried =
        StateChange { state: JobState::Scheduled.into(), failure: Some(failure), ..StateChange::default() };
    let messages = vec![
        change(1, JobState::Running),
        event(2, Event::Output(Output { payload: Some(text(CONTROL_SEQUENCES)), channel: hostile_text() })),
        event(3, Event::Log(Log { text: hostile_text(), ..Log::default() })),
        event(
            4,
            Event::Progress(Progress {
                message: hostile_text(),
                unit: hostile_text(),
                ..Progress::default()
            }),
        ),
        event(5, Event::StateChange(retried)),
        end(6, end_as),
    ];
    Watching { messages, ..Watching::default() }
}

fn hostile_failure() -> (JobState, End) {
    let details = Some(text(CONTROL_SEQUENCES));
    (
        JobState::Failed,
        End::Failure(Failure {
            message: hostile_text(),
            r#type: hostile_text(),
            details,
            ..Failure::default()
        }),
    )
}

fn hostile_job() -> Job {
    let pairs = [(hostile_text(), hostile_text())];
    let spec = JobSpec {
        kind: hostile_text(),
        queue: hostile_text(),
        labels: pairs.clone().into(),
        headers: pairs.into(),
        payload: Some(text(CONTROL_SEQUENCES)),
        ..JobSpec::default()
    };
    let (state, end) = hostile_failure();
    let outcome = Some(Outcome { end: Some(end) });
    Job { job_id: hostile_text(), spec: Some(spec), state: state.into(), outcome, ..Job::default() }
}

/// Scripts responses with control sequences for every command.
fn prepare(fake: &Fake) {
    let mut script = fake.script();
    script.submit.push_back(accepted());
    script.watch.push_back(hostile_events(succeeded(CONTROL_SEQUENCES)));
    script.result.push_back(ended(succeeded(CONTROL_SEQUENCES)));
    script.get.push_back(Ok(GetJobResponse { job: Some(hostile_job()) }));
    script.list.push_back(Ok(ListJobsResponse { jobs: vec![hostile_job()], ..Default::default() }));
    let queue = Queue { queue: hostile_text(), unserved_kinds: vec![hostile_text()], ..Queue::default() };
    script.queues.push_back(Ok(ListQueuesResponse { queues: vec![queue], ..Default::default() }));
    let worker = Worker {
        name: hostile_text(),
        worker_id: hostile_text(),
        kinds: vec![hostile_text()],
        ..Worker::default()
    };
    script.workers.push_back(Ok(ListWorkersResponse { workers: vec![worker], ..Default::default() }));
    let info =
        GetServerInfoResponse { version: hostile_text(), kinds: vec![hostile_text()], ..Default::default() };
    script.info.push_back(Ok(info));
}

#[tokio::test]
async fn control_sequences_of_job_data_are_escaped() {
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
            for obeyed in UNESCAPED {
                assert!(!shown.contains(obeyed), "{args:?} {format} obeys {obeyed:?}: {shown:?}");
            }
            let escape = if format == "table" { "\\u{202e}" } else { "\\u202e" };
            assert!(shown.contains(escape), "{args:?} {format} shows nothing of it: {shown:?}");
        }
    }
}

#[tokio::test]
async fn control_sequences_of_failures_and_errors_are_escaped() {
    let fake = Fake::start().await;
    fake.script().submit.push_back(accepted());
    fake.script().watch.push_back(hostile_events(hostile_failure()));
    let failed = on_terminal(client(fake.address, &["run", "k"])).await;
    let mut details = ErrorDetails::with_error_info("INVALID_FIELD", "jobstream", HashMap::new());
    details.add_bad_request_violation(CONTROL_SEQUENCES, CONTROL_SEQUENCES);
    fake.script().result.push_back(Err(Status::with_error_details(
        Code::InvalidArgument,
        CONTROL_SEQUENCES,
        details,
    )));
    let refused = on_terminal(client(fake.address, &["result", ID])).await;
    for shown in [failed, refused] {
        assert!(UNESCAPED.iter().all(|obeyed| !shown.contains(obeyed)), "{shown:?}");
        assert!(shown.contains("error:") && shown.contains("\\u{1b}]0;pwned"), "{shown:?}");
    }
}

/// Scripts long lists of jobs, queues and workers.
fn prepare_long_lists(fake: &Fake) {
    let mut script = fake.script();
    let long = |text: &str| text.repeat(8);
    let jobs = [ID, "01890000-0000-7000-8000-000000000002"].map(|id| {
        let (state, mut end) = failed();
        if let End::Failure(failure) = &mut end {
            failure.message = long("no such file ");
        }
        let spec = JobSpec { kind: long("kind"), queue: long("queue"), ..JobSpec::default() };
        let outcome = Some(Outcome { end: Some(end) });
        Job { job_id: id.to_owned(), spec: Some(spec), state: state.into(), outcome, ..Job::default() }
    });
    script.list.push_back(Ok(ListJobsResponse { jobs: jobs.into(), ..Default::default() }));
    let queue = Queue { queue: long("queue"), ..Queue::default() };
    script.queues.push_back(Ok(ListQueuesResponse { queues: vec![queue], ..Default::default() }));
    let worker = Worker {
        name: long("name"),
        worker_id: "w1".to_owned(),
        kinds: vec![long("kind"), long("other")],
        sdk: "rust/0.1.0".to_owned(),
        address: "10.0.0.9:4711".to_owned(),
        ..Worker::default()
    };
    script.workers.push_back(Ok(ListWorkersResponse { workers: vec![worker], ..Default::default() }));
}

#[tokio::test]
async fn tables_fit_the_terminal_and_a_pipe_gets_everything() {
    for noun in ["jobs", "queues", "workers"] {
        for width in [80, 200] {
            let fake = Fake::start().await;
            prepare_long_lists(&fake);
            let command = client(fake.address, &[noun, "ls", "--color", "never"]);
            let shown = on_terminal_of_width(command, width).await;
            assert!(shown.lines().count() >= 2, "{shown}");
            for line in shown.lines() {
                assert!(line.chars().count() <= width.into(), "{noun} {width}: {line}");
            }
        }
        let fake = Fake::start().await;
        prepare_long_lists(&fake);
        let piped = run(&mut client(fake.address, &[noun, "ls"])).await.exits(0).stdout;
        assert!(!piped.contains("..") && piped.lines().all(|line| line.len() > 50), "{piped}");
    }
}

#[tokio::test]
async fn a_terminal_shows_the_end_of_ids() {
    let fake = Fake::start().await;
    prepare_long_lists(&fake);
    let shown = on_terminal_of_width(client(fake.address, &["jobs", "ls"]), 80).await;
    let shown: Vec<_> = shown.lines().filter_map(|line| line.split(' ').next()).skip(1).collect();
    assert_eq!(shown, [&ID[28..], "00000002"]);
}

#[tokio::test]
async fn bytes_that_are_not_utf8_are_escaped_on_a_terminal() {
    let fake = Fake::start().await;
    let body = Some(payload::Body::Data(b"a\x9b2J\xff\n".to_vec().into()));
    let end = End::Result(Payload { body, ..Payload::default() });
    fake.script().result.push_back(ended((JobState::Succeeded, end)));
    let shown = on_terminal(client(fake.address, &["result", ID])).await;
    assert_eq!(shown, "a\\x9b2J\\xff\r\n");
}

#[tokio::test]
async fn pipes_and_raw_output_get_the_bytes_unchanged() {
    let fake = Fake::start().await;
    fake.script().result.extend([ended(succeeded(CONTROL_SEQUENCES)), ended(succeeded(CONTROL_SEQUENCES))]);
    let piped = run(&mut client(fake.address, &["result", ID])).await.exits(0);
    assert_eq!(piped.stdout, CONTROL_SEQUENCES);
    let shown = on_terminal(client(fake.address, &["result", ID, "--raw"])).await;
    assert_eq!(shown, format!("{CONTROL_SEQUENCES}\r\n"));
}

#[tokio::test]
async fn job_and_server_fit_a_narrow_terminal() {
    let fake = Fake::start().await;
    let attempt = |attempt| {
        let (_, end) = failed();
        let End::Failure(mut failure) = end else { panic!("it failed") };
        failure.message = "no such file ".repeat(8);
        Attempt {
            attempt,
            worker: "worker-of-a-long-name".repeat(3),
            failure: Some(failure),
            ..Attempt::default()
        }
    };
    let job = Job { job_id: ID.to_owned(), attempts: vec![attempt(1), attempt(2)], ..Job::default() };
    fake.script().get.push_back(Ok(GetJobResponse { job: Some(job) }));
    let kinds = (0..20).map(|number| format!("media.thumbnail.{number}")).collect();
    fake.script().info.push_back(Ok(GetServerInfoResponse { kinds, ..Default::default() }));
    for args in [vec!["jobs", "get", ID], vec!["info"]] {
        let shown = on_terminal_of_width(client(fake.address, &args), 80).await;
        assert!(shown.lines().count() > 5, "{shown}");
        let plain = shown.replace("\u{1b}[2m", "").replace("\u{1b}[0m", "");
        assert!(plain.lines().all(|line| line.chars().count() <= 80), "{plain}");
    }
}

#[tokio::test]
async fn wait_on_a_terminal_shows_what_it_waits_for() {
    let fake = Fake::start().await;
    let mut queued = GetResultResponse { state: JobState::Queued.into(), ..GetResultResponse::default() };
    queued.set_wait_reason(jobstream::proto::v1::WaitReason::NoWorker);
    fake.script().result.extend([Ok(queued), ended(succeeded("done"))]);
    let shown = on_terminal(client(fake.address, &["result", ID, "--wait"])).await;
    assert_eq!(shown, format!("waiting for job {ID}: it is QUEUED (NO_WORKER)\r\ndone\r\n"));
}
