//! Metrics: the families that a server has, a snapshot of their samples, and its Prometheus text.
//!
//! The values live where they change: in the core, in the engine, in the log and in the listener. They are read at a scrape.

mod families;
mod histogram;
mod names;
#[cfg(feature = "otel")]
mod otlp;
pub(crate) mod process;
mod text;

use std::collections::BTreeMap;

pub use families::FAMILIES;
pub(crate) use families::*;
pub(crate) use histogram::{
    AtomicHistogram, CALL_BUCKETS, Histogram, JOB_BUCKETS, STORE_BUCKETS, SizeHistogram,
};
pub(crate) use names::{NAMES_MAX, NameSet, OTHER};
#[cfg(feature = "otel")]
pub(crate) use otlp::Period;

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A sum that only grows until the server restarts.
    Counter,
    /// A value of now.
    Gauge,
    /// Counts of values by size, with their sum.
    Histogram,
}

impl Kind {
    /// The name in the Prometheus text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric with a name: all its samples have the same type, the same labels and the same meaning.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// The name in Prometheus, with its unit: `jobstream_job_wait_seconds`.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The labels of each sample.
    pub labels: &'static [&'static str],
    /// What it counts or measures.
    pub help: &'static str,
    /// A sample PromQL query.
    pub query: &'static str,
}

impl Family {
    /// The unit in the name; empty for numbers without one.
    pub fn unit(&self) -> &'static str {
        let name = self.name.trim_end_matches("_total");
        ["seconds", "bytes"].into_iter().find(|unit| name.ends_with(unit)).unwrap_or_default()
    }

    /// The family with this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        FAMILIES.iter().copied().find(|family| family.name == name)
    }
}

/// The value of a sample.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Number(f64),
    Histogram(Histogram),
}

/// The values of a sample's labels, in the order of [`Family::labels`].
type Labels = Vec<String>;

/// All samples of one scrape, ordered by family and labels.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    families: BTreeMap<&'static str, (&'static Family, BTreeMap<Labels, Value>)>,
}

impl Snapshot {
    /// Adds a number to the sample with these labels.
    pub(crate) fn add(&mut self, family: &'static Family, labels: &[&str], number: f64) {
        match self.sample(family, labels, Value::Number(0.0)) {
            Value::Number(sum) => *sum += number,
            Value::Histogram(_) => debug_assert!(false, "{} is a histogram", family.name),
        }
    }

    /// Raises the sample with these labels to at least this number, which is not negative.
    pub(crate) fn raise(&mut self, family: &'static Family, labels: &[&str], number: f64) {
        match self.sample(family, labels, Value::Number(0.0)) {
            Value::Number(max) => *max = max.max(number),
            Value::Histogram(_) => debug_assert!(false, "{} is a histogram", family.name),
        }
    }

    /// Adds the counts of a histogram to the sample with these labels.
    pub(crate) fn add_histogram(&mut self, family: &'static Family, labels: &[&str], histogram: &Histogram) {
        match self.sample(family, labels, Value::Histogram(Histogram::new(histogram.buckets()))) {
            Value::Histogram(sum) => sum.add_all(histogram),
            Value::Number(_) => debug_assert!(false, "{} is a number", family.name),
        }
    }

    /// The families with their samples, in the order of the names.
    pub(crate) fn families(&self) -> impl Iterator<Item = (&'static Family, &BTreeMap<Labels, Value>)> {
        self.families.values().map(|(family, samples)| (*family, samples))
    }

    /// The text format 0.0.4 of Prometheus.
    pub(crate) fn to_text(&self) -> String {
        text::encode(self)
    }

    /// The request of OTLP, of a process with these attributes.
    #[cfg(feature = "otel")]
    pub(crate) fn to_otlp(
        &self,
        period: Period,
        resource: &[(String, String)],
    ) -> opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest {
        otlp::request(self, period, resource)
    }

    fn sample(&mut self, family: &'static Family, labels: &[&str], empty: Value) -> &mut Value {
        debug_assert_eq!(family.labels.len(), labels.len(), "{} {labels:?}", family.name);
        let (_, samples) = self.families.entry(family.name).or_insert((family, BTreeMap::new()));
        let labels = labels.iter().map(|value| (*value).to_owned()).collect();
        samples.entry(labels).or_insert(empty)
    }
}

#[cfg(test)]
mod tests;
