//! The report of a run, as a table or as JSON.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::probe::Probe;
use super::sample::Sample;

/// All measurements of a run: one sample a round of each probe.
pub(super) struct Report {
    pub(super) rounds: Vec<(Probe, Vec<Sample>)>,
}

/// Median, minimum and maximum of several numbers.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(numbers: impl Iterator<Item = f64>) -> Option<Self> {
        let mut numbers: Vec<_> = numbers.collect();
        numbers.sort_by(f64::total_cmp);
        let (min, max) = (*numbers.first()?, *numbers.last()?);
        let (low, high) = ((numbers.len() - 1) / 2, numbers.len() / 2);
        Some(Self { median: (numbers[low] + numbers[high]) / 2.0, min, max })
    }
}

/// One probe's figures.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    rate: Option<Spread>,
    server_micros: Option<Spread>,
    load_micros: Option<Spread>,
    worker_micros: Option<Spread>,
    switches: Option<Spread>,
    allocations: Option<Spread>,
    p50_micros: Option<Spread>,
    p99_micros: Option<Spread>,
    bytes: Option<Spread>,
    /// Ratios to the measurements it is compared with.
    ratios: Vec<Ratios>,
}

/// A probe divided by another, round by round.
#[derive(Debug, Serialize)]
struct Ratios {
    divided_by: String,
    rate: Option<Spread>,
    cpu: Option<Spread>,
    p50: Option<Spread>,
    p99: Option<Spread>,
    bytes: Option<Spread>,
}

impl Report {
    fn rows(&self) -> Vec<Row> {
        self.rounds.iter().map(|(probe, samples)| self.row(*probe, samples)).collect()
    }

    fn row(&self, probe: Probe, samples: &[Sample]) -> Row {
        let spread = |figure: fn(&Sample) -> f64| {
            probe.has_rate().then(|| Spread::of(samples.iter().map(figure))).flatten()
        };
        let latency = |share| Spread::of(samples.iter().filter_map(|sample| sample.latency_micros(share)));
        Row {
            name: probe.name(),
            rate: spread(Sample::rate),
            server_micros: spread(|sample| sample.server_micros),
            load_micros: spread(|sample| sample.load_micros),
            worker_micros: Spread::of(samples.iter().filter_map(|sample| sample.worker_micros)),
            switches: spread(|sample| sample.switches),
            allocations: spread(|sample| sample.allocations).filter(|_| cfg!(feature = "count-allocations")),
            p50_micros: latency(0.5),
            p99_micros: latency(0.99),
            bytes: Spread::of(samples.iter().filter_map(|sample| probe.bytes_each(sample))),
            ratios: probe
                .beside()
                .into_iter()
                .filter_map(|other| self.ratios(probe, samples, other))
                .collect(),
        }
    }

    fn ratios(&self, probe: Probe, samples: &[Sample], beside: Probe) -> Option<Ratios> {
        let (_, others) = self.rounds.iter().find(|(other, _)| *other == beside)?;
        let divided = |figure: &dyn Fn(Probe, &Sample) -> Option<f64>| {
            let pairs = samples.iter().zip(others);
            Spread::of(pairs.filter_map(|(one, other)| Some(figure(probe, one)? / figure(beside, other)?)))
        };
        let of_rate = |probe: Probe, number: f64| probe.has_rate().then_some(number);
        Some(Ratios {
            divided_by: beside.name(),
            rate: divided(&|probe, sample| of_rate(probe, sample.rate())),
            cpu: divided(&|probe, sample| of_rate(probe, sample.server_micros)),
            p50: divided(&|_, sample| sample.latency_micros(0.5)),
            p99: divided(&|_, sample| sample.latency_micros(0.99)),
            // Bytes of a log are not compared.
            bytes: divided(&|probe, sample| probe.bytes_each(sample).filter(|_| !probe.is_on_disk())),
        })
    }

    /// The report for programs.
    pub(super) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "scenarios": self.rows() })
    }

    /// Medians with their spread, for people.
    pub(super) fn to_table(&self) -> String {
        let rows = self.rows();
        let figures = figures(&rows);
        format!("{figures}\n\n{}", ratios(&rows))
    }
}

fn figures(rows: &[Row]) -> Table {
    let mut table = new_table(&[
        "",
        "a second",
        "server us",
        "load us",
        "worker us",
        "switches",
        "allocations",
        "p50 us",
        "p99 us",
        "bytes each",
    ]);
    for row in rows {
        table.add_row([
            row.name.clone(),
            cell(row.rate, 0),
            cell(row.server_micros, 2),
            cell(row.load_micros, 2),
            cell(row.worker_micros, 2),
            cell(row.switches, 3),
            cell(row.allocations, 1),
            cell(row.p50_micros, 0),
            cell(row.p99_micros, 0),
            cell(row.bytes, 0),
        ]);
    }
    table
}

fn ratios(rows: &[Row]) -> Table {
    let mut table = new_table(&["", "divided by", "rate", "server CPU", "p50", "p99", "bytes"]);
    for (row, ratios) in rows.iter().flat_map(|row| row.ratios.iter().map(move |ratios| (row, ratios))) {
        table.add_row([
            row.name.clone(),
            ratios.divided_by.clone(),
            cell(ratios.rate, 2),
            cell(ratios.cpu, 2),
            cell(ratios.p50, 2),
            cell(ratios.p99, 2),
            cell(ratios.bytes, 2),
        ]);
    }
    table
}

fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn cell(spread: Option<Spread>, decimals: usize) -> String {
    let Some(Spread { median, min, max }) = spread else { return String::new() };
    format!("{median:.decimals$} ({min:.decimals$}-{max:.decimals$})")
}
