//! Directories that a server refuses.

use tokio::process::Command;

use super::{Home, end, submit};
use crate::support::{echo, wait_for};

/// What a server says that does not start.
async fn refusal(home: &Home) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jobstream"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&home.directory).kill_on_drop(true);
    let output = wait_for("it ends", command.output()).await.expect("it starts");
    assert_eq!(output.status.code(), Some(10));
    String::from_utf8(output.stderr).expect("text")
}

#[tokio::test]
async fn a_second_server_on_a_directory_is_refused() {
    let mut home = Home::new(&[]);
    let dev = home.start().await;
    let said = refusal(&home).await;
    assert!(said.contains("another process uses the log"), "{said}");
    let id = submit(&dev, echo("undisturbed")).await;
    assert_eq!(end(&dev, &id).await.text(), "undisturbed");
}

#[tokio::test]
async fn a_directory_that_was_damaged_is_refused_with_the_place() {
    let mut home = Home::new(&[]);
    let dev = home.start().await;
    let first = submit(&dev, echo("the first of all")).await;
    end(&dev, &first).await;
    submit(&dev, echo("another")).await;
    super::By::Term.end(dev).await;
    let segment = home.directory.join("segment-0000000000000001.log");
    let mut bytes = std::fs::read(&segment).expect("a segment");
    let words = b"the first of all";
    let at = bytes.windows(words.len()).position(|window| window == words).expect("its payload");
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).expect("it is ours");
    let said = refusal(&home).await;
    let place = format!("{} is damaged at byte ", segment.display());
    assert!(said.contains(&place) && said.contains("log salvage"), "{said}");
}
