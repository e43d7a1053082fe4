//! `jobstream explain`: shows what a metric means, and a query for it.

use clap::Args;
use jobstream::metrics::{FAMILIES, Family};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::output::table::{Column, Columns, Field};
use crate::output::{Format, GlobalArgs, Output};

/// The narrowest that the column MEANING becomes, in characters.
const MEANING_WIDTH_MIN: u16 = 24;

const EXAMPLES: &str = "\
Examples:
  jobstream explain
  jobstream explain jobstream_queue_unserved_jobs
  jobstream explain -o json | jq -r '.[] | [.name, .query] | @tsv'";

/// Explain a metric of the server: type, labels, meaning, a query
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Explain {
    /// Name of the metric [default: list all metrics]
    #[arg(value_name = "METRIC")]
    metric: Option<String>,
    /// Format of data: json, jsonl, table
    /// [default: table; tab-separated into a pipe]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    #[arg(env = "JOBSTREAM_OUTPUT", hide_env_values = true, hide_possible_values = true)]
    output: Option<Format>,
}

impl Explain {
    /// Runs the command.
    pub(crate) fn run(self, global: GlobalArgs) -> Result<Exit> {
        let output = Output::new(global, self.output);
        let Some(metric) = self.metric else {
            list(&output)?;
            return Ok(Exit::Ok);
        };
        let family = find(&metric).ok_or_else(|| unknown(&metric))?;
        output.object(&pairs(family), || Ok(object(family)))?;
        Ok(Exit::Ok)
    }
}

/// The family of this name, or of this series of a histogram.
fn find(name: &str) -> Option<&'static Family> {
    let series = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
    Family::find(name).or_else(|| Family::find(series?))
}

/// The error for a name that no metric has, with those that contain it. A name of OTLP has dots.
fn unknown(metric: &str) -> Error {
    let part = metric.replace('.', "_");
    let near: Vec<_> =
        FAMILIES.iter().map(|family| family.name).filter(|name| name.contains(&part)).collect();
    let error = Error::new(Exit::NotFound, format!("the server has no metric {metric:?}"));
    match near.as_slice() {
        [] => error.hint("`jobstream explain` lists all metrics"),
        near => error.hint(format!("did you mean {}?", near.join(", "))),
    }
}

fn list(output: &Output) -> Result<()> {
    let mut columns = Columns::new([
        Column::new("METRIC"),
        Column::new("TYPE").dropped(2),
        Column::new("LABELS").dropped(1),
        Column::new("MEANING").shortened_to(MEANING_WIDTH_MIN),
    ]);
    for family in FAMILIES {
        let Family { name, kind, help, .. } = family;
        columns.row([
            Field::from(*name),
            kind.name().into(),
            family.labels.join(",").into(),
            Field::from(*help),
        ]);
    }
    output.list(&columns, FAMILIES.iter().map(|family| Ok(object(family))))
}

fn pairs(family: &Family) -> Vec<(&'static str, Field)> {
    vec![
        ("name", family.name.into()),
        ("type", family.kind.name().into()),
        ("unit", family.unit().into()),
        ("labels", family.labels.join(", ").into()),
        ("meaning", Field::from(family.help).wrapped()),
        ("query", family.query.into()),
    ]
}

fn object(family: &Family) -> Value {
    json!({
        "name": family.name,
        "type": family.kind.name(),
        "unit": family.unit(),
        "labels": family.labels,
        "meaning": family.help,
        "query": family.query,
    })
}
