//! The time from the start of a server with a log on disk to its first answer.

use std::time::Instant;

use super::child::{ServerProcess, Usage, own_usage};
use super::sample::Sample;
use super::server::ServerKind;
use super::stream::{self, StreamLoad};
use super::wire::Connection;
use super::{Result, jobs};

/// Starts a server in a new directory.
pub(super) async fn start() -> Result<Sample> {
    let begin = Instant::now();
    answered(begin, 1, ServerProcess::start(ServerKind::Durable)?).await
}

/// Queues this many jobs, kills the server and starts it again.
pub(super) async fn restart(server: ServerProcess, load: StreamLoad, jobs: u64) -> Result<Sample> {
    stream::fill(&server, load, jobs).await?;
    let begin = Instant::now();
    answered(begin, jobs, server.restarted()?).await
}

async fn answered(begin: Instant, jobs: u64, server: ServerProcess) -> Result<Sample> {
    let load = own_usage()?;
    let (call, check) = jobs::submit(jobs::ECHO_KIND)?;
    let mut connection = Connection::open(server.port()).await?;
    check(&connection.call(&call).await?)?;
    let seconds = begin.elapsed().as_secs_f64();
    let server = (Usage::default(), server.usage()?);
    Ok(Sample::between(jobs, seconds, server, (load, own_usage()?), None).once())
}
