//! Data directories that a server refuses.

use serde_json::Value;
use tokio::process::Command;

use super::{DataDir, end, submit};
use crate::support::{echo, wait_for};

/// Returns the stderr of a server that does not start.
async fn refusal(data_dir: &DataDir) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jobstream"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data_dir.directory).kill_on_drop(true);
    let output = wait_for("the command ends", command.output()).await.expect("the process starts");
    assert_eq!(output.status.code(), Some(10));
    String::from_utf8(output.stderr).expect("text")
}

#[tokio::test]
async fn a_second_server_on_a_directory_is_refused() {
    let mut data_dir = DataDir::new(&[]);
    let dev = data_dir.start().await;
    let stderr = refusal(&data_dir).await;
    assert!(stderr.contains("another process uses the log"), "{stderr}");
    let id = submit(&dev, echo("undisturbed")).await;
    assert_eq!(end(&dev, &id).await.text(), "undisturbed");
}

#[tokio::test]
async fn a_damaged_directory_is_refused_with_file_and_offset() {
    let mut data_dir = DataDir::new(&[]);
    let dev = data_dir.start().await;
    let first = submit(&dev, echo("the first of all")).await;
    end(&dev, &first).await;
    let second = submit(&dev, echo("another")).await;
    end(&dev, &second).await;
    super::ServerEnd::Term.end(dev).await;
    let segment = data_dir.directory.join("segment-0000000000000001.log");
    let mut bytes = std::fs::read(&segment).expect("a segment");
    let words = b"the first of all";
    let at = bytes.windows(words.len()).position(|window| window == words).expect("its payload");
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).expect("the test may change it");
    let stderr = refusal(&data_dir).await;
    let place = format!("{} is damaged at byte ", segment.display());
    assert!(stderr.contains(&place) && stderr.contains("log salvage"), "{stderr}");
    let (code, report) = log(&["verify", "-o", "json"], &[&data_dir]).await;
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!((code, report["damages"].as_array().map(Vec::len)), (Some(10), Some(1)), "{report}");
    let mut saved = DataDir::new(&[]);
    let (code, report) = log(&["salvage"], &[&data_dir, &saved]).await;
    assert_eq!(code, Some(10), "{report}");
    let dev = saved.start().await;
    assert_eq!(end(&dev, &second).await.text(), "another");
    let gone = super::try_result(&dev, &first, 0).await.expect_err("its acceptance is lost");
    assert_eq!(gone.code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn a_salvage_lists_the_jobs_that_may_run_again() {
    let mut data_dir = DataDir::new(&[]);
    let dev = data_dir.start().await;
    let words = b"the end of this is lost";
    let lost = submit(&dev, echo("the end of this is lost")).await;
    end(&dev, &lost).await;
    let intact = submit(&dev, echo("another")).await;
    end(&dev, &intact).await;
    super::ServerEnd::Term.end(dev).await;
    let segment = data_dir.directory.join("segment-0000000000000001.log");
    let mut bytes = std::fs::read(&segment).expect("a segment");
    // The first occurrence is the acceptance, the last one the result.
    let at = bytes.windows(words.len()).rposition(|window| window == words).expect("its result");
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).expect("the test may change it");
    let mut saved = DataDir::new(&[]);
    let (code, report) = log(&["salvage", "-o", "json"], &[&data_dir, &saved]).await;
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let expected = serde_json::json!({"count": 1, "job_ids": [lost]});
    assert_eq!((code, &report["may_run_again"]), (Some(10), &expected), "{report}");
    let (_, report) = log(&["salvage"], &[&data_dir, &DataDir::new(&[])]).await;
    assert!(
        report.contains("may run again") && report.contains(&lost) && !report.contains(&intact),
        "{report}"
    );
    let dev = saved.start().await;
    assert_eq!(end(&dev, &lost).await.text(), "the end of this is lost");
    assert_eq!(super::get(&dev, &lost).await.attempt, 2, "it ran again");
    assert_eq!(super::get(&dev, &intact).await.attempt, 1);
}

/// Runs `jobstream log` on directories. Returns its exit code and stdout.
pub(super) async fn log(args: &[&str], homes: &[&DataDir]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jobstream"));
    command.arg("log").args(args).args(homes.iter().map(|data_dir| &data_dir.directory)).kill_on_drop(true);
    let output = wait_for("the command ends", command.output()).await.expect("the process starts");
    (output.status.code(), String::from_utf8(output.stdout).expect("text"))
}

#[tokio::test]
async fn log_dump_shows_the_records_of_a_job() {
    let mut data_dir = DataDir::new(&[]);
    let dev = data_dir.start().await;
    let id = submit(&dev, echo("a secret")).await;
    end(&dev, &id).await;
    assert_eq!(log(&["verify"], &[&data_dir]).await, (Some(10), String::new()), "the server is running");
    super::ServerEnd::Term.end(dev).await;
    let (code, report) = log(&["verify", "-o", "json"], &[&data_dir]).await;
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!((code, &report["is_closed"]), (Some(0), &Value::Bool(true)), "{report}");
    let (code, dump) = log(&["dump"], &[&data_dir]).await;
    assert_eq!(code, Some(0));
    let lines: Vec<Value> = dump.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(report["entries"], lines.len(), "{dump}");
    let records = lines.iter().flat_map(|line| line["records"].as_array().expect("records"));
    let records: Vec<_> = records.filter(|record| record["job_id"] == *id).collect();
    let states: Vec<_> = records.iter().filter_map(|record| record["state"].as_str()).collect();
    assert_eq!(records[0]["record"], "accepted", "{dump}");
    assert_eq!(states, ["RUNNING", "SUCCEEDED"], "{dump}");
    assert!(!dump.contains("secret"), "{dump}");
}
