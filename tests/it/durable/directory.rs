//! Directories that a server refuses.

use serde_json::Value;
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
    let second = submit(&dev, echo("another")).await;
    end(&dev, &second).await;
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
    let (code, report) = log(&["verify", "-o", "json"], &[&home]).await;
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!((code, report["damages"].as_array().map(Vec::len)), (Some(10), Some(1)), "{report}");
    let mut saved = Home::new(&[]);
    let (code, report) = log(&["salvage"], &[&home, &saved]).await;
    assert_eq!(code, Some(10), "{report}");
    let dev = saved.start().await;
    assert_eq!(end(&dev, &second).await.text(), "another");
    let gone = super::try_result(&dev, &first, 0).await.expect_err("its acceptance is lost");
    assert_eq!(gone.code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn a_salvage_counts_and_names_the_jobs_that_may_run_again() {
    let mut home = Home::new(&[]);
    let dev = home.start().await;
    let words = b"the end of this is lost";
    let lost = submit(&dev, echo("the end of this is lost")).await;
    end(&dev, &lost).await;
    let kept = submit(&dev, echo("another")).await;
    end(&dev, &kept).await;
    super::By::Term.end(dev).await;
    let segment = home.directory.join("segment-0000000000000001.log");
    let mut bytes = std::fs::read(&segment).expect("a segment");
    // Its acceptance comes first, its result last.
    let at = bytes.windows(words.len()).rposition(|window| window == words).expect("its result");
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).expect("it is ours");
    let mut saved = Home::new(&[]);
    let (code, report) = log(&["salvage", "-o", "json"], &[&home, &saved]).await;
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let expected = serde_json::json!({"count": 1, "job_ids": [lost]});
    assert_eq!((code, &report["may_run_again"]), (Some(10), &expected), "{report}");
    let (_, report) = log(&["salvage"], &[&home, &Home::new(&[])]).await;
    assert!(
        report.contains("may run again") && report.contains(&lost) && !report.contains(&kept),
        "{report}"
    );
    let dev = saved.start().await;
    assert_eq!(end(&dev, &lost).await.text(), "the end of this is lost");
    assert_eq!(super::get(&dev, &lost).await.attempt, 2, "it ran again");
    assert_eq!(super::get(&dev, &kept).await.attempt, 1);
}

/// What `jobstream log` does with directories: its exit code and stdout.
pub(super) async fn log(args: &[&str], homes: &[&Home]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jobstream"));
    command.arg("log").args(args).args(homes.iter().map(|home| &home.directory)).kill_on_drop(true);
    let output = wait_for("it ends", command.output()).await.expect("it starts");
    (output.status.code(), String::from_utf8(output.stdout).expect("text"))
}

#[tokio::test]
async fn a_directory_tells_what_happened_to_its_jobs() {
    let mut home = Home::new(&[]);
    let dev = home.start().await;
    let id = submit(&dev, echo("a secret")).await;
    end(&dev, &id).await;
    assert_eq!(log(&["verify"], &[&home]).await, (Some(10), String::new()), "its server runs");
    super::By::Term.end(dev).await;
    let (code, report) = log(&["verify", "-o", "json"], &[&home]).await;
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!((code, &report["is_closed"]), (Some(0), &Value::Bool(true)), "{report}");
    let (code, dump) = log(&["dump"], &[&home]).await;
    assert_eq!(code, Some(0));
    let lines: Vec<Value> = dump.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(report["entries"], lines.len(), "{dump}");
    let records = lines.iter().flat_map(|line| line["records"].as_array().expect("records"));
    let told: Vec<_> = records.filter(|record| record["job_id"] == *id).collect();
    let states: Vec<_> = told.iter().filter_map(|record| record["state"].as_str()).collect();
    assert_eq!(told[0]["record"], "accepted", "{dump}");
    assert_eq!(states, ["RUNNING", "SUCCEEDED"], "{dump}");
    assert!(!dump.contains("secret"), "{dump}");
}
