//! The text, histograms, bounds of names, and the table of families.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;
use std::{env, fs};

use super::histogram::BYTES_BUCKETS;
use super::*;

#[test]
fn the_text_has_help_type_and_escaped_labels_in_a_stable_order() {
    let mut snapshot = Snapshot::default();
    snapshot.add(&QUEUE_PAUSED, &["b"], 1.0);
    snapshot.add(&QUEUE_PAUSED, &["a\"\\\n"], 0.0);
    snapshot.add(&CALLS_REFUSED, &["q"], 2.0);
    snapshot.add(&CALLS_REFUSED, &["q"], 1.0);
    let text = snapshot.to_text();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("# HELP")).collect();
    assert_eq!(
        lines,
        [
            "# TYPE jobstream_calls_refused_total counter",
            "jobstream_calls_refused_total{reason=\"q\"} 3",
            "# TYPE jobstream_queue_paused gauge",
            "jobstream_queue_paused{queue=\"a\\\"\\\\\\n\"} 0",
            "jobstream_queue_paused{queue=\"b\"} 1",
        ]
    );
    assert_eq!(text.lines().filter(|line| line.starts_with("# HELP")).count(), 2);
}

#[test]
fn the_buckets_of_a_histogram_are_cumulative() {
    let atomic = AtomicHistogram::new(&[0.001, 1.0]);
    for micros in [1, 1_000, 1_001, 2_000_000] {
        atomic.record(Duration::from_micros(micros));
    }
    let histogram = atomic.read();
    let counts: Vec<_> = histogram.cumulative().collect();
    assert_eq!(counts, [(0.001, 2), (1.0, 3), (f64::INFINITY, 4)]);
    assert_eq!((histogram.count(), histogram.sum()), (4, 2.002_002));
    let mut snapshot = Snapshot::default();
    snapshot.add_histogram(&STORE_OP_DURATION, &["sync", "disk"], &histogram);
    let text = snapshot.to_text();
    let name = "jobstream_store_op_duration_seconds";
    for line in [
        format!("{name}_bucket{{op=\"sync\",backend=\"disk\",le=\"0.001\"}} 2"),
        format!("{name}_bucket{{op=\"sync\",backend=\"disk\",le=\"+Inf\"}} 4"),
        format!("{name}_sum{{op=\"sync\",backend=\"disk\"}} 2.002002"),
        format!("{name}_count{{op=\"sync\",backend=\"disk\"}} 4"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn a_size_is_counted_in_the_bucket_of_its_bound() {
    let bounds = BYTES_BUCKETS.iter().map(|bound| *bound as usize);
    for (index, bound) in bounds.enumerate() {
        for (bytes, expected) in [(bound - 1, index), (bound, index), (bound + 1, index + 1)] {
            let mut sizes = SizeHistogram::default();
            sizes.record(bytes);
            let sizes = sizes.read();
            let before = sizes.cumulative().filter(|(_, count)| *count == 0).count();
            assert_eq!((before, sizes.sum()), (expected, bytes as f64), "{bytes}");
        }
    }
    let mut sizes = SizeHistogram::default();
    [0, 64, 65, 256, 4 << 20, (4 << 20) + 1, usize::MAX >> 8]
        .into_iter()
        .for_each(|bytes| sizes.record(bytes));
    let sizes = sizes.read();
    let counts: Vec<_> = sizes.cumulative().map(|(_, count)| count).collect();
    assert_eq!(counts, [2, 4, 4, 4, 4, 4, 4, 4, 5, 7]);
    assert_eq!(sizes.count(), 7);
}

#[test]
fn a_set_of_names_is_bounded() {
    let mut names = NameSet::default();
    let admitted = (0..NAMES_MAX + 5).filter(|name| names.admit(name)).count();
    assert_eq!((admitted, names.iter().count()), (NAMES_MAX, NAMES_MAX));
    assert!(names.admit(&7) && !names.admit(&(NAMES_MAX + 1)));
}

#[test]
fn names_units_and_queries_follow_the_conventions_of_prometheus() {
    let names: BTreeSet<_> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(names.len(), FAMILIES.len(), "two families have one name");
    for family in FAMILIES {
        let Family { name, kind, help, query, .. } = family;
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        assert!(*kind != Kind::Histogram || !family.unit().is_empty(), "{name}");
        assert!(!help.is_empty() && !help.ends_with('.') && query.contains(name), "{name}: {help}: {query}");
        assert_eq!(Family::find(name), Some(*family));
    }
}

const PAGE: &str = "docs/monitoring.md";
const HEADER: &str = "| metric | type | labels | meaning |\n|---|---|---|---|\n";

#[test]
fn the_page_has_the_table_of_all_metrics() {
    let page = fs::read_to_string(PAGE).expect("the page");
    let (before, rest) = page.split_once(HEADER).expect("the table");
    let (table, after) = rest.split_once("\n\n").expect("the end of the table");
    let mut current = String::new();
    for Family { name, kind, labels, help, .. } in FAMILIES {
        let labels = labels.join(", ");
        writeln!(current, "| `{name}` | {} | {labels} | {help} |", kind.name()).expect("a string");
    }
    if env::var_os("UPDATE_PAGES").is_some() {
        let page = format!("{before}{HEADER}{}\n\n{after}", current.trim_end());
        fs::write(PAGE, page).expect("the page");
        return;
    }
    assert!(table == current.trim_end(), "run UPDATE_PAGES=1 cargo test --lib the_page_has_the_table");
}
