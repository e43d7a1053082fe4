//! Servers and workers that do not start: with a JSON log, their errors are JSON lines too.

use std::net::TcpListener;
use std::process::Command;

use serde_json::Value;

use crate::support::new_id;

/// Runs the binary, which must fail. Returns the exit code and stderr.
fn failed(line: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jobstream"));
    let output = command.args(line.split(' ')).env_clear().envs(variables.iter().copied()).output();
    let output = output.expect("it runs");
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

/// A config file with this content.
fn config_file(content: &str) -> String {
    let path = format!("{}/failed-start-{}.toml", env!("CARGO_TARGET_TMPDIR"), new_id());
    std::fs::write(&path, content).expect("a file");
    path
}

#[track_caller]
fn assert_is_json(line: &str, variables: &[(&str, &str)], code: i32, message: &str) {
    let (exit, stderr) = failed(line, variables);
    assert_eq!(exit, Some(code), "{line}: {stderr}");
    let lines: Result<Vec<Value>, _> = stderr.lines().map(serde_json::from_str).collect();
    let lines = lines.unwrap_or_else(|error| panic!("{line}: {error}: {stderr}"));
    let is_error = |line: &Value| {
        line["level"] == "ERROR"
            && line["fields"]["message"].as_str().is_some_and(|text| text.contains(message))
    };
    assert!(lines.iter().any(is_error), "no {message:?}: {line}: {stderr}");
}

#[test]
fn a_server_that_cannot_start_logs_json() {
    let busy = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = busy.local_addr().expect("an address");
    assert_is_json(&format!("dev --log-format json --listen {address}"), &[], 10, &address.to_string());
    let unknown_key = config_file("slotz = 1\n[log]\nformat = 'json'\n");
    assert_is_json(&format!("serve --config {unknown_key}"), &[], 2, "unknown key \"slotz\"");
    assert_is_json("serve", &[("JOBSTREAM_CONFIG", &unknown_key)], 2, "unknown key \"slotz\"");
    let no_toml = config_file("slots = = 1\n[log]\nformat = 'json'\n");
    assert_is_json(&format!("serve --config {no_toml}"), &[], 2, ".toml:1: ");
    let text = config_file("slotz = 1\n[log]\nformat = 'text'\n");
    assert_is_json(&format!("serve --config {text} --log-format=json"), &[], 2, "unknown key");
    assert_is_json("serve --config /no/such --log-format json", &[], 2, "/no/such");
    assert_is_json("serve --data-bytes-max 1GiB --log-format json", &[], 2, "no data directory");
    assert_is_json("serve --log-level a=b=c --log-format json", &[], 2, "log level");
    assert_is_json(
        "serve --log-level inof --log-format json",
        &[],
        2,
        "\"inof\" is not a level: use off, error,",
    );
    let (code, stderr) = failed(&format!("serve --config {text}"), &[]);
    assert!(code == Some(2) && stderr.starts_with("error: "), "{stderr}");
    for path in [unknown_key, no_toml, text] {
        std::fs::remove_file(path).expect("a file");
    }
}

#[test]
fn a_refused_command_line_of_a_server_or_worker_is_json() {
    let variable = [("JOBSTREAM_LOG_FORMAT", "json")];
    for line in ["serve --slotz 1", "dev --slots 0", "worker", "worker --exec", "serve --exec up=tr"] {
        assert_is_json(line, &variable, 2, "");
        let (command, rest) = line.split_once(' ').unwrap_or((line, "-q"));
        assert_is_json(&format!("{command} --log-format json {rest}"), &[], 2, "");
    }
    assert_is_json("serve --slotz 1", &variable, 2, "unexpected argument '--slotz' found");
    assert_is_json("worker --exec a=b --address a/b", &variable, 2, "a/b");
    let (code, stderr) = failed("submit --slotz 1", &variable);
    assert!(code == Some(2) && stderr.starts_with("error: "), "a command without a log: {stderr}");
}
