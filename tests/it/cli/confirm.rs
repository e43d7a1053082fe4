//! Questions on a terminal: commands that change many jobs do nothing without a yes.

use std::fs::File;
use std::io::{Read, Write};

use jobstream::proto::v1::{
    Job, ListJobsResponse, ListQueuesResponse, PurgeQueueResponse, Queue, StateCounts,
};

use super::fake::Fake;
use super::terminal::open_terminal;
use super::*;

/// Runs a command with a terminal as its stdin, stdout and stderr. Answers its question. Returns its exit code and what
/// the terminal shows.
async fn answered(command: Command, answer: &'static str) -> (Option<i32>, String) {
    talk(command, "[y/N] ", answer).await
}

/// [`answered`] for another question.
async fn talk(mut command: Command, question: &'static str, answer: &'static str) -> (Option<i32>, String) {
    let (terminal, screen) = open_terminal(80);
    command.stdin(screen()).stdout(screen()).stderr(screen());
    let mut child = command.spawn().expect("the command starts");
    // Closes the other side, so that the read ends with the command.
    drop((command, screen));
    let read = tokio::task::spawn_blocking(move || {
        let mut terminal = File::from(terminal);
        let (mut shown, mut bytes) = (Vec::new(), [0; 1024]);
        let mut is_answered = false;
        // A read without another side fails.
        while let Ok(count @ 1..) = terminal.read(&mut bytes) {
            shown.extend_from_slice(&bytes[..count]);
            if !is_answered && shown.ends_with(question.as_bytes()) {
                is_answered = true;
                terminal.write_all(answer.as_bytes()).expect("the command reads");
            }
        }
        String::from_utf8(shown).expect("UTF-8")
    });
    let shown = time::timeout(TIMEOUT, read).await.expect("the command ends in time").expect("it is read");
    let status = time::timeout(TIMEOUT, child.wait()).await.expect("the command ends in time");
    (status.expect("a status").code(), shown)
}

/// The end of the input, as it is typed.
const END_OF_INPUT: &str = "\u{4}";

#[tokio::test]
async fn jobs_are_removed_only_after_a_yes() {
    const OTHER: &str = "01890000-0000-7000-8000-000000000002";
    for (answer, is_yes) in [
        ("y\n", true),
        ("yes\n", true),
        ("n\n", false),
        ("\n", false),
        ("yep\n", false),
        (END_OF_INPUT, false),
    ] {
        let fake = Fake::start().await;
        let jobs = [OTHER, ID].map(|id| Job { job_id: id.to_owned(), ..Job::default() });
        fake.script().list.push_back(Ok(ListJobsResponse { jobs: jobs.into(), ..Default::default() }));
        fake.script().delete.extend([Ok(Default::default()), Ok(Default::default())]);
        let command = client(fake.address, &["jobs", "rm", "--kind", "k"]);
        let (code, shown) = answered(command, answer).await;
        assert!(shown.starts_with("rm 2 jobs? [y/N] "), "{shown:?}");
        let deletes_left = fake.script().delete.len();
        if is_yes {
            assert_eq!((code, deletes_left), (Some(0), 0), "{answer:?}: {shown:?}");
            assert!(shown.ends_with(&format!("\r\n{ID}\r\n{OTHER}\r\n")), "oldest first: {shown:?}");
        } else {
            assert_eq!((code, deletes_left), (Some(10), 2), "{answer:?}: {shown:?}");
            assert!(
                shown.contains("\n") && shown.contains("not confirmed: no job was changed\r\n"),
                "{shown:?}"
            );
            assert_eq!(shown.lines().count(), 2, "the error is on a line of its own: {shown:?}");
        }
    }
}

#[tokio::test]
async fn a_token_that_is_typed_is_not_shown() {
    const CTRL_C: &str = "jst_x\u{3}";
    // SHA-256 of jst_0123456789abcdef0123456789ab.
    let hash = "60a14f147ac51afaa7173e4766af746ae4a616993f89186b9af0686afec70f9c";
    for answer in [
        "jst_0123456789abcdef0123456789ab\n",
        "wrong\u{15}jst_0123456789abcdef0123456789ac\u{7f}b\n",
        "jst_0123456789abcdef0123456789ab\u{4}",
    ] {
        let (code, shown) = talk(jobstream(&["token", "hash"]), "token: ", answer).await;
        assert_eq!((code, shown), (Some(0), format!("token: \r\n{hash}\r\n")), "{answer:?}");
    }
    let (code, shown) = talk(jobstream(&["token", "hash"]), "token: ", CTRL_C).await;
    assert!(code == Some(130) && !shown.contains("jst_"), "{shown:?}");
}

#[tokio::test]
async fn a_queue_is_purged_only_after_a_yes() {
    for (answer, code) in [("y\n", 0), ("n\n", 10), (END_OF_INPUT, 10)] {
        let fake = Fake::start().await;
        let counts = StateCounts { queued: 1_203, scheduled: 1, ..StateCounts::default() };
        let queue = Queue { queue: "media".to_owned(), counts: Some(counts), ..Queue::default() };
        fake.script().queues.push_back(Ok(ListQueuesResponse { queues: vec![queue], ..Default::default() }));
        fake.script().purge.push_back(Ok(PurgeQueueResponse { purged: 1_204 }));
        let (exit, shown) = answered(client(fake.address, &["queues", "purge", "media"]), answer).await;
        assert!(shown.starts_with("cancel 1,204 waiting jobs of queue media? [y/N] "), "{shown:?}");
        assert_eq!(exit, Some(code), "{answer:?}: {shown:?}");
        assert_eq!(fake.script().purged.len(), usize::from(code == 0), "{answer:?}");
        assert_eq!(shown.lines().count(), 2, "{shown:?}");
    }
}
