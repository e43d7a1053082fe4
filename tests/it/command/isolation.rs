//! The environment and the files of a program, and cleanup after many programs.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[tokio::test]
async fn environment_has_only_listed_variables() {
    let mut spec = CommandSpec::new("env");
    spec.inherited_env = vec![
        pair("PATH", "/usr/bin:/bin"),
        pair("HOME", "/home/x"),
        pair("LANG", "C.UTF-8"),
        pair("LD_PRELOAD", ""),
        pair("AWS_SECRET_ACCESS_KEY", "secret"),
        pair("JOBSTREAM_TOKEN", "secret"),
    ];
    spec.env = vec![pair("MODE", "fast"), pair("JOBSTREAM_KIND", "spec")];
    let env = vec![pair("JOBSTREAM_KIND", "resize"), pair("JOBSTREAM_HEADER_TRACE_ID", "a b=c\nd")];
    let running =
        Running::start_with(spec, CommandInput { env, ..CommandInput::default() }, CommandControl::default());
    let (outcome, _) = running.outcome().await;
    let golden = "HOME=/home/x\nJOBSTREAM_HEADER_TRACE_ID=a b=c\nd\nJOBSTREAM_KIND=resize\nLANG=C.UTF-8\nMODE=fast\n\
                  PATH=/usr/bin:/bin\n";
    assert_eq!(result_text(&outcome), golden);
}

#[tokio::test]
async fn arguments_arrive_as_given() {
    let mut spec = shell("");
    spec.program = "printf".into();
    spec.args = ["[%s]", "a b", "$HOME", "*", "", "'\"\\", "; exit 9"].map(String::from).to_vec();
    assert_eq!(result_text(&outcome_of(spec).await), "[a b][$HOME][*][]['\"\\][; exit 9]");
}

/// Returns the descriptors of a process and their targets.
fn open_files(pid: i32) -> BTreeMap<String, String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process runs");
    let file = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        let number = path.file_name().expect("a number").to_string_lossy().into_owned();
        Some((number, fs::read_link(&path).ok()?.to_string_lossy().into_owned()))
    };
    entries.filter_map(file).collect()
}

#[tokio::test]
async fn open_files_are_only_stdin_stdout_and_stderr() {
    // This process has other open files and pipes.
    let _file = fs::File::open("/proc/self/stat").expect("a file");
    let mut other = Running::start(lines("echo ready; exec sleep 1000"));
    assert_eq!(other.line().await, "ready");
    let mut running = Running::start(lines("echo $$; kill -STOP $$"));
    let pid = running.pids().await[0];
    let inherited = open_files(std::os::unix::process::parent_id().cast_signed());
    let mut files = open_files(pid);
    let std: Vec<_> =
        ["0", "1", "2"].map(|number| files.remove(number).expect("all three are open")).to_vec();
    assert!(std.iter().all(|target| target.starts_with("pipe:")), "{std:?}");
    // Ignores files that this process inherited.
    files.retain(|number, target| inherited.get(number) != Some(target));
    assert_eq!(files, BTreeMap::new());
    for running in [other, running] {
        running.control.force.cancel();
        running.outcome().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_short_commands_leave_no_zombie() {
    let all: Vec<_> = (0..200).map(|_| Running::start(shell("echo $$"))).collect();
    let mut pids = BTreeSet::new();
    for running in all {
        let (outcome, _) = running.outcome().await;
        let pid: i32 = result_text(&outcome).trim().parse().expect("a process id");
        assert!(!is_our_zombie(pid), "{pid}");
        pids.insert(pid);
    }
    assert!(pids.len() > 100, "process ids may be reused, but not that much: {}", pids.len());
    assert!(!pids.iter().any(|pid| is_our_zombie(*pid)));
}
