//! The text format 0.0.4 of Prometheus.

use std::fmt::Write;

use super::{Family, Histogram, Snapshot, Value};

/// Writes all families: HELP, TYPE, and a line for each sample.
pub(super) fn encode(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    for (family, samples) in snapshot.families() {
        let Family { name, kind, help, .. } = family;
        line(&mut text, format_args!("# HELP {name} {}", escaped_help(help)));
        line(&mut text, format_args!("# TYPE {name} {}", kind.name()));
        for (labels, value) in samples {
            let labels = family.labels.iter().copied().zip(labels.iter().map(String::as_str));
            match value {
                Value::Number(number) => sample(&mut text, name, "", labels, None, *number),
                Value::Histogram(histogram) => series(&mut text, name, labels, histogram),
            }
        }
    }
    text
}

/// The lines of one histogram: each bucket with the count of all values up to its bound, the sum, and the count.
fn series<'a>(
    text: &mut String,
    name: &str,
    labels: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    histogram: &Histogram,
) {
    for (bound, count) in histogram.cumulative() {
        sample(text, name, "_bucket", labels.clone(), Some(bound), count as f64);
    }
    sample(text, name, "_sum", labels.clone(), None, histogram.sum());
    sample(text, name, "_count", labels, None, histogram.count() as f64);
}

fn sample<'a>(
    text: &mut String,
    name: &str,
    suffix: &str,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
    bound: Option<f64>,
    number: f64,
) {
    text.push_str(name);
    text.push_str(suffix);
    let mut separator = '{';
    for (label, value) in labels {
        push_label(text, &mut separator, label, value);
    }
    match bound {
        Some(bound) if bound.is_infinite() => push_label(text, &mut separator, "le", "+Inf"),
        Some(bound) => push_label(text, &mut separator, "le", &bound.to_string()),
        None => {}
    }
    if separator == ',' {
        text.push('}');
    }
    line(text, format_args!(" {number}"));
}

fn push_label(text: &mut String, separator: &mut char, label: &str, value: &str) {
    text.push(std::mem::replace(separator, ','));
    text.push_str(label);
    text.push_str("=\"");
    push_escaped(text, value);
    text.push('"');
}

fn push_escaped(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

fn escaped_help(help: &str) -> String {
    help.replace('\\', "\\\\").replace('\n', "\\n")
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}
