//! `jobstream info`: shows a server's version, mode, limits and load.

use std::time::Duration;

use clap::Args;
use jobstream::proto::v1::{GetServerInfoResponse, Limits, MemoryUse};

use crate::connect::ClientArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Field;
use crate::output::{GlobalArgs, json, text};

const EXAMPLES: &str = "\
Examples:
  jobstream info
  jobstream info -o json | jq .limits.payloadBytesMax";

/// Show the server: version, mode, limits, kinds
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Info {
    #[command(flatten)]
    client: ClientArgs,
}

impl Info {
    /// Runs the command.
    pub(crate) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        let client = self.client.connect(global).await?;
        let info = client.call(client.api.server_info()).await?;
        let mut pairs = server(&info, client.address.to_string());
        pairs.extend(info.limits.iter().flat_map(limits));
        pairs.extend(info.memory.iter().map(memory));
        client.output.object(&pairs, || json::message("GetServerInfoResponse", &info))?;
        Ok(Exit::Ok)
    }
}

fn server(info: &GetServerInfoResponse, address: String) -> Vec<(&'static str, Field)> {
    let survives = match info.mode.as_str() {
        "memory" => "memory (a restart loses every job)".to_owned(),
        mode => mode.to_owned(),
    };
    let is_shown = shows_totals(info);
    let total =
        |count: u32| if is_shown { text::count(count.into()).into() } else { "needs the grant list".into() };
    vec![
        ("address", address.into()),
        ("version", info.version.as_str().into()),
        ("mode", survives.into()),
        ("durability", text::durability(info.durability()).into()),
        ("uptime", span(info.uptime.as_ref()).into()),
        ("boot id", info.boot_id.as_str().into()),
        ("draining", if info.draining { "yes" } else { "no" }.into()),
        ("kinds", Field::from(kinds(info)).wrapped()),
        ("jobs", total(info.jobs)),
        ("watchers", total(info.watchers)),
        ("log level", info.log_level.as_str().into()),
    ]
}

/// Whether the grants of the caller show the numbers of jobs and watches. If not, they are 0 and no use of memory is reported.
pub(crate) fn shows_totals(info: &GetServerInfoResponse) -> bool {
    info.jobs > 0 || info.watchers > 0 || !info.memory.is_empty()
}

/// The kinds that are listed, and how many there are beside them.
fn kinds(info: &GetServerInfoResponse) -> String {
    let listed = info.kinds.join(", ");
    match (info.kinds_total as usize).saturating_sub(info.kinds.len()) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}

fn limits(limits: &Limits) -> Vec<(&'static str, Field)> {
    let size = |bytes: i64| text::bytes(bytes.try_into().unwrap_or_default());
    vec![
        ("payload limit", size(limits.payload_bytes_max.into()).into()),
        ("message limit", size(limits.message_bytes_max.into()).into()),
        ("jobs limit", text::count(limits.jobs_max.into()).into()),
        ("job bytes limit", size(limits.job_bytes_max).into()),
        ("retention", span(limits.retention.as_ref()).into()),
        ("retention limit", size(limits.retention_bytes_max).into()),
        ("idempotency window", span(limits.idempotency_window.as_ref()).into()),
        ("idempotency ids", text::count(limits.idempotency_ids_max.into()).into()),
        ("event ring", size(limits.event_ring_bytes_max.into()).into()),
        ("connections limit", text::count(limits.connections_max.into()).into()),
        ("connection bytes", size(limits.connection_bytes_max).into()),
        ("all connections bytes", size(limits.connections_bytes_max).into()),
        ("batch limit", text::count(limits.batch_jobs_max.into()).into()),
        ("longest wait", span(limits.result_wait_max.as_ref()).into()),
        ("watchers limit", text::count(limits.watchers_max.into()).into()),
        ("queues limit", text::count(limits.queues_max.into()).into()),
        ("memory limit", size(limits.memory_bytes_max).into()),
    ]
}

/// `memory  watches 1 MiB of 8 MiB`.
fn memory(memory: &MemoryUse) -> (&'static str, Field) {
    let size = |bytes: i64| text::bytes(bytes.try_into().unwrap_or_default());
    let (used, limit) = (size(memory.used_bytes), size(memory.limit_bytes));
    ("memory", format!("{} {used} of {limit}", memory.category).into())
}

fn span(span: Option<&prost_types::Duration>) -> String {
    span.and_then(|span| Duration::try_from(*span).ok()).map(text::duration).unwrap_or_default()
}
