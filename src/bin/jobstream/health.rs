//! `jobstream health`: asks a server whether it is ready or live, for probes that run a command.

use clap::Args;
use jobstream::client::{Health as Checked, Probe};
use serde_json::json;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::connect::{Client, ClientArgs};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::output::GlobalArgs;
use crate::output::table::Field;

const EXAMPLES: &str = "\
Ends with 0 if the answer is yes, else with 1. It needs no credential.

Examples:
  jobstream health
  jobstream health --live --rpc-timeout 2s --quiet
  jobstream health --service jobstream.v1.JobService";

/// Ask the server whether it is ready; for probes
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Health {
    /// Whether it answers calls now (the default)
    #[arg(long)]
    ready: bool,
    /// Whether it works; if not, restart it
    #[arg(long, conflicts_with = "ready")]
    live: bool,
    /// Whether gRPC health reports this service as serving
    #[arg(long, value_name = "NAME", conflicts_with_all = ["ready", "live"])]
    service: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

impl Health {
    /// Runs the command.
    pub(crate) async fn run(self, global: GlobalArgs) -> Result<Exit> {
        // Docker and Kubernetes know two exit codes.
        self.check(global).await.map_err(|error| match error.exit {
            Exit::Usage => error,
            _ => Error { exit: Exit::JobFailed, ..error },
        })
    }

    async fn check(self, global: GlobalArgs) -> Result<Exit> {
        let client = self.client.connect(global).await?;
        if let Some(service) = self.service {
            return check_service(&client, service).await;
        }
        let (probe, word) = if self.live { (Probe::Live, "live") } else { (Probe::Ready, "ready") };
        let Checked { is_ok, checks, .. } =
            client.api.health(probe).await.map_err(|error| client.error(&error))?;
        let status = if is_ok { word.to_owned() } else { format!("not {word}") };
        let shown = checks.iter().map(|(name, result)| format!("{name}: {result}"));
        let mut pairs = vec![("status", Field::from(status.clone()))];
        pairs.extend(shown.map(|check| ("check", check.into())));
        show(&client, is_ok, &pairs, json!({"status": status, "checks": checks}))
    }
}

async fn check_service(client: &Client, service: String) -> Result<Exit> {
    let mut request = tonic::Request::new(HealthCheckRequest { service: service.clone() });
    request.set_timeout(client.rpc_timeout);
    let answer = HealthClient::new(client.api.channel()).check(request).await;
    let status = match answer {
        Ok(answer) => answer.into_inner().status(),
        Err(status) if status.code() == tonic::Code::NotFound => {
            return Err(Error::new(Exit::NotFound, format!("the server has no service {service:?}")).hint(
                "name one with its package, such as jobstream.v1.JobService, or \"\" for the whole server",
            ));
        }
        Err(status) => return Err(Error::new(Exit::Unreachable, status.message())),
    };
    let pairs = [("status", Field::from(status.as_str_name()))];
    show(client, status == ServingStatus::Serving, &pairs, json!({"status": status.as_str_name()}))
}

fn show(
    client: &Client,
    is_ok: bool,
    pairs: &[(&'static str, Field)],
    value: serde_json::Value,
) -> Result<Exit> {
    if !client.output.quiet {
        client.output.object(pairs, || Ok(value))?;
    }
    Ok(if is_ok { Exit::Ok } else { Exit::JobFailed })
}
