//! What the command line answers to mistakes, and how it shows a job.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use crate::support::Dev;

/// Runs the binary without a server. Returns the exit code and stderr.
fn run(args: &[&OsStr], address: Option<&OsStr>) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jobstream"));
    command.args(args).env_remove("JOBSTREAM_ADDRESS");
    if let Some(address) = address {
        command.env("JOBSTREAM_ADDRESS", address);
    }
    let output = command.output().expect("it runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn commands_of_other_tools_get_the_name_here() {
    for (line, hint) in [
        ("cancel x", "`jobstream jobs cancel ID`"),
        ("retry x", "`jobstream jobs retry ID`"),
        ("list", "`jobstream jobs ls`"),
        ("status x", "`jobstream jobs get ID`"),
        ("logs x", "`jobstream watch ID`"),
        ("jobs list", "`jobstream jobs ls`"),
        ("serve --exec up=tr", "[commands.KIND]"),
    ] {
        let args: Vec<_> = line.split(' ').map(OsStr::new).collect();
        let (code, stderr) = run(&args, None);
        assert_eq!(code, Some(2), "{line}: {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(hint), "{line}: {stderr}");
    }
}

#[test]
fn wrong_arguments_are_answered_with_their_limit_and_a_way_out() {
    for (line, code, part) in [
        ("top --interval 1ms", 2, "it must be at least 50ms"),
        ("health --rpc-timeout 0", 2, "it must be more than 0, such as 5s"),
        ("jobs watch --outcomes --state running", 2, "remove --outcomes, or name one of these states"),
        ("explain jobstream.job.wait", 5, "did you mean jobstream_job_wait_seconds?"),
    ] {
        let args: Vec<_> = line.split(' ').map(OsStr::new).collect();
        let (ended, stderr) = run(&args, None);
        assert!(ended == Some(code) && stderr.contains(part), "{line}: {stderr}");
    }
}

#[test]
fn arguments_that_are_not_utf8_are_errors() {
    let bytes = OsStr::from_bytes(b"\xff");
    let cases = [
        run(&[bytes], None),
        run(&[OsStr::new("result"), bytes], None),
        run(&["info".as_ref()], Some(bytes)),
    ];
    for (code, stderr) in cases {
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.starts_with("error: ") && !stderr.contains("panicked"), "{stderr}");
    }
}

#[test]
fn a_time_without_a_zone_is_refused() {
    let args = ["submit", "k", "--at", "2026-12-24 18:00:00"].map(OsStr::new);
    let (code, stderr) = run(&args, None);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("has no time zone: write it as in 2026-12-24T18:00:00Z (UTC)"), "{stderr}");
}

#[tokio::test]
async fn json_of_every_depth_is_sent() {
    let dev = Dev::start(&[]).await;
    for levels in [30, 31, 127, 128, 10_000] {
        let json = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let result = dev.sh(&format!("jobstream -q run demo.echo '{json}' | tr -d ' \\n'")).await;
        assert_eq!(result, json);
    }
}

#[tokio::test]
async fn a_refusal_is_printed_once_and_hints_name_the_server() {
    let dev = Dev::start(&[]).await;
    let refused = dev.sh("jobstream submit 'a b' 2>&1 || true").await;
    assert_eq!(refused.lines().count(), 1, "{refused}");
    let at = format!("--address {}", dev.address);
    let failed = dev.sh(&format!("unset JOBSTREAM_ADDRESS; jobstream run demo.fail {at} 2>&1 || true")).await;
    let command = failed.split('`').nth(1).expect("a command").to_owned();
    assert!(command.starts_with("jobstream jobs get ") && command.contains(" --address http://"), "{failed}");
    let job = dev.sh(&format!("unset JOBSTREAM_ADDRESS; {command}")).await;
    assert!(job.contains("\nattempt 1\t"), "{job}");
}

#[tokio::test]
async fn a_job_shows_its_payload_and_outcome_by_content_type() {
    let dev = Dev::start(&[]).await;
    let get = async |submit: &str| {
        let script = format!(
            "id=$(jobstream submit {submit}); jobstream -q result $id --wait >&2; jobstream jobs get $id"
        );
        dev.sh(&script).await
    };
    for (submit, content) in [
        ("demo.echo '{\"n\": 9007199254740993}'", "{\"n\":9007199254740993}"),
        ("demo.echo '{\"n\": [1]}'", "{\"n\":[1]}"),
        ("demo.echo hello --text", "hello"),
        ("demo.echo hello --bytes --content-type text/csv", "hello"),
        ("demo.echo hello --bytes", "5 bytes of application/octet-stream, base64 aGVsbG8="),
    ] {
        let job = get(submit).await;
        for name in ["payload", "outcome"] {
            assert!(job.contains(&format!("\n{name}\t{content}\n")), "{submit}: {job}");
        }
    }
}

#[tokio::test]
async fn a_mistake_in_the_input_is_named_by_its_source() {
    let dev = Dev::start(&[]).await;
    let refused = async |script: &str| dev.sh(&format!("{{ {script}; }} 2>&1 && exit 9 || true")).await;
    let empty = refused("jobstream run demo.echo - </dev/null").await;
    assert!(
        empty.starts_with("error: stdin is empty, and no JSON\n  help: leave the payload out"),
        "{empty}"
    );
    let bytes = refused("printf '\\377' | jobstream run demo.echo -").await;
    assert!(bytes.starts_with("error: stdin is not UTF-8\n"), "{bytes}");
    let delay = refused("jobstream submit demo.echo 1 --delay -5s").await;
    assert!(delay.contains("invalid value '-5s' for '--delay <SPAN>'"), "{delay}");
    let programs = refused("jobstream worker").await;
    assert!(programs.contains("--exec <KIND=PROGRAM ARGS>|--http <KIND=URL>|--config <FILE>"), "{programs}");
}
