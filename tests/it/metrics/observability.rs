//! The boards, rules and alerts of `deploy/observability`, and the runbook.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use jobstream::job::FailureReason;
use jobstream::metrics::Family;
use serde_json::Value;

use super::prometheus::FOLDER;
use crate::support::needs;

/// The boards.
const BOARDS: [&str; 2] = ["boards/overview.json", "boards/internals.json"];

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(FOLDER).join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The queries of the boards, with their variables set.
pub(super) fn board_queries() -> Vec<String> {
    let mut queries = Vec::new();
    for board in BOARDS {
        let board: Value = serde_json::from_str(&file(board)).expect("JSON");
        for panel in board["panels"].as_array().expect("panels") {
            for target in panel["targets"].as_array().expect("targets") {
                let query = target["expr"].as_str().expect("a query");
                queries.push(
                    query
                        .replace("$instance", ".*")
                        .replace("$queue", ".*")
                        .replace("$__rate_interval", "20s"),
                );
            }
        }
    }
    assert!(queries.len() > 30, "{queries:?}");
    queries
}

/// The names of the recorded values.
pub(super) fn records() -> Vec<String> {
    let recording = file("recording.yml");
    let records = recording.lines().filter_map(|line| line.trim().strip_prefix("- record: "));
    records.map(str::to_owned).collect()
}

fn alerts() -> Vec<String> {
    let alerts = file("alerts.yml");
    let names = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(str::to_owned).collect()
}

/// The words of a text that look like names of metrics.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "_:".contains(c)));
    let is_metric =
        |word: &&str| ["jobstream_", "rpc_server_", "process_"].iter().any(|prefix| word.starts_with(prefix));
    words.filter(|word| is_metric(word) || word.starts_with("jobstream:")).collect()
}

#[test]
fn every_metric_of_boards_and_rules_exists() {
    let records = records();
    for name in BOARDS.into_iter().chain(["alerts.yml", "recording.yml"]) {
        for metric in metrics_in(&file(name)) {
            let series = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| metric.strip_suffix(suffix));
            let exists = records.iter().any(|record| record == metric)
                || [Some(metric), series].into_iter().flatten().any(|name| Family::find(name).is_some());
            assert!(exists, "{name} uses {metric}, which the server does not have");
        }
    }
}

#[test]
fn the_rules_are_valid_and_each_alert_fires_on_its_symptom() {
    needs!("promtool");
    let promtool = |arguments: &[&str]| {
        let ended = Command::new("promtool").args(arguments).output().expect("promtool runs");
        let text =
            format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        assert!(ended.status.success(), "{text}");
    };
    let rules = ["recording.yml", "alerts.yml"].map(|name| format!("{FOLDER}/{name}"));
    promtool(&["check", "rules", "--lint-fatal", &rules[0], &rules[1]]);
    let tests = "tests/it/metrics/alerts_test.yml";
    promtool(&["test", "rules", tests]);
    let tests = fs::read_to_string(tests).expect("the tests");
    for alert in alerts() {
        let named = format!("- alertname: {alert}\n");
        // Once with the symptom, and once without.
        assert_eq!(tests.matches(&named).count(), 2, "{alert}");
    }
}

#[test]
fn the_runbook_has_an_entry_for_each_alert_and_reason() {
    let runbook = fs::read_to_string("docs/runbook.md").expect("the runbook");
    let rules = file("alerts.yml");
    for alert in alerts() {
        let entry = runbook.split_once(&format!("\n### {alert}\n")).map(|(_, rest)| rest);
        let entry =
            entry.unwrap_or_else(|| panic!("{alert} has no entry")).split("\n#").next().expect("text");
        for part in ["**Symptom.**", "**Check.**", "**Fix.**"] {
            assert!(entry.contains(part), "{alert}: {part}");
        }
        let link = format!("/docs/runbook.md#{}\n", alert.to_lowercase());
        assert_eq!(rules.matches(&link).count(), 1, "{alert} does not link to its entry");
    }
    for reason in FailureReason::ALL {
        assert!(runbook.contains(&format!("\n| `{}` |", reason.name())), "{reason:?} is not in the runbook");
    }
    let sources = ["src/proto/status.rs", "src/core/refusals.rs"];
    for source in sources.map(|path| fs::read_to_string(path).expect("a source")) {
        let code = source.split("#[cfg(test)]").next().expect("code").to_owned();
        for text in code.split('"').skip(1).step_by(2) {
            let is_reason = text.len() > 4 && text.chars().all(|c| c.is_ascii_uppercase() || c == '_');
            assert!(!is_reason || runbook.contains(&format!("`{text}`")), "{text} is not in the runbook");
        }
    }
}
