//! Every measurement, the server it runs on, and the measurement it is compared with.

use super::calls::{self, Load};
use super::child::ServerProcess;
use super::sample::Sample;
use super::server::ServerKind;
use super::stream::{self, StreamLoad};
use super::{Bench, Result, Scenario, http, jobs, overload, restart, watch};

/// One kind of measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// The bare echo, many in flight.
    Echo(ServerKind),
    /// The bare echo, one in flight.
    EchoAlone(ServerKind),
    /// The bare echo as a stream of as many messages as Run sends, many in flight.
    EchoStream(ServerKind),
    /// Silent streams of the echo service.
    EchoIdle(ServerKind),
    /// Submit of an echo job, which runs as well.
    Submit,
    /// The bare JSON echo over HTTP/1.1.
    HttpEcho,
    /// Submit as HTTP/JSON over HTTP/1.1.
    HttpSubmit,
    /// Another measurement over TLS.
    Tls(&'static Probe),
    /// Another measurement with a token.
    Identity(&'static Probe),
    /// Submit, one in flight.
    SubmitAlone,
    /// Another measurement on a server with a log on disk.
    Durable(&'static Probe),
    /// Another measurement while many jobs are queued.
    Backlog(&'static Probe),
    /// Submit of a job that stays queued.
    Enqueue,
    /// Run of an echo job.
    Run,
    /// Run, one in flight.
    RunAlone,
    /// SubmitStream with outcomes, this many echo jobs a message.
    Stream(u32),
    /// SubmitStream of jobs that a worker in a process of its own runs.
    RemoteStream(u32),
    /// Run of slow jobs at the capacity of a small server.
    Busy,
    /// Accepted jobs of ten times as many as a small server can run.
    Overload,
    /// Refused jobs of ten times as many as a small server can run.
    Refused,
    /// Start of a server with a log on disk.
    Start,
    /// Start of a server whose log holds queued jobs.
    Restart,
    /// Queued jobs by SubmitStream, for their memory.
    Memory,
    /// One event to many watchers.
    Watch,
    /// Watchers of a job without events.
    WatchIdle,
    /// The time from the end of all watches until the server has freed their memory.
    WatchLeft,
}

impl Scenario {
    /// Its measurements.
    pub(super) fn probes(self) -> Vec<Probe> {
        match self {
            Self::Submit => vec![Probe::Submit],
            Self::Enqueue => vec![Probe::Enqueue],
            Self::Http => vec![Probe::HttpSubmit],
            Self::Tls => {
                let both = [&Probe::Submit, &Probe::SubmitAlone];
                both.into_iter().flat_map(|probe| [*probe, Probe::Tls(probe)]).collect()
            }
            Self::Identity => vec![Probe::Submit, Probe::Identity(&Probe::Submit)],
            Self::Run => vec![Probe::Run],
            Self::SubmitStream => vec![Probe::Stream(1), Probe::Stream(100)],
            Self::Remote => vec![Probe::Stream(100), Probe::RemoteStream(100)],
            Self::Durable => {
                let calls = [&Probe::Submit, &Probe::SubmitAlone, &Probe::Enqueue];
                let on_disk = calls.into_iter().chain([&Probe::Stream(1), &Probe::Stream(100)]);
                on_disk.flat_map(|probe| [*probe, Probe::Durable(probe)]).collect()
            }
            Self::Restart => vec![Probe::Start, Probe::Restart],
            Self::Backlog => {
                let both = [&Probe::Submit, &Probe::Stream(100)];
                both.into_iter().flat_map(|probe| [*probe, Probe::Backlog(probe)]).collect()
            }
            Self::Overload => vec![Probe::Busy, Probe::Overload, Probe::Refused],
            Self::Watch => vec![Probe::Watch, Probe::WatchIdle, Probe::WatchLeft],
            Self::Latency => vec![Probe::RunAlone],
            Self::Memory => vec![Probe::Memory],
        }
    }
}

impl Probe {
    /// The name in reports.
    pub(super) fn name(self) -> String {
        let layout = |kind| if kind == ServerKind::EchoStock { ", stock tonic" } else { "" };
        match self {
            Self::Echo(kind) => format!("echo{}", layout(kind)),
            Self::EchoAlone(kind) => format!("echo, one in flight{}", layout(kind)),
            Self::EchoStream(kind) => format!("echo, as a stream{}", layout(kind)),
            Self::EchoIdle(kind) => format!("echo, idle stream{}", layout(kind)),
            Self::HttpEcho => "JSON echo of axum".to_owned(),
            Self::HttpSubmit => "submit, HTTP/JSON".to_owned(),
            Self::Tls(probe) => format!("{}, over TLS", probe.name()),
            Self::Identity(probe) => format!("{}, with a token", probe.name()),
            Self::Submit => "submit".to_owned(),
            Self::SubmitAlone => "submit, one in flight".to_owned(),
            Self::Durable(probe) => format!("{}, on disk", probe.name()),
            Self::Backlog(probe) => format!("{}, many jobs wait", probe.name()),
            Self::Enqueue => "submit, stays queued".to_owned(),
            Self::Run => "run".to_owned(),
            Self::RunAlone => "run, one in flight".to_owned(),
            Self::Stream(jobs) => format!("submit-stream, {jobs} a message"),
            Self::RemoteStream(jobs) => format!("submit-stream, {jobs} a message, remote worker"),
            Self::Busy => "run of 10 ms, as many as fit".to_owned(),
            Self::Overload => "run of 10 ms, 10x too many, taken".to_owned(),
            Self::Refused => "run of 10 ms, 10x too many, refused".to_owned(),
            Self::Start => "start, empty".to_owned(),
            Self::Restart => "restart, a queued job".to_owned(),
            Self::Memory => "queued job".to_owned(),
            Self::Watch => "watch, one event".to_owned(),
            Self::WatchIdle => "watch, idle".to_owned(),
            Self::WatchLeft => "watch, memory back after they left".to_owned(),
        }
    }

    /// The measurements it is compared with: echoes behind our listener and on tonic's own server, or the same in memory.
    pub(super) fn beside(self) -> Vec<Self> {
        let both = |echo: fn(ServerKind) -> Self| vec![echo(ServerKind::Echo), echo(ServerKind::EchoStock)];
        match self {
            Self::Echo(_) | Self::EchoAlone(_) | Self::EchoStream(_) | Self::EchoIdle(_) => Vec::new(),
            Self::Memory | Self::HttpEcho => Vec::new(),
            Self::HttpSubmit => vec![Self::HttpEcho],
            Self::Start | Self::Restart | Self::Busy | Self::Refused | Self::WatchLeft => Vec::new(),
            Self::Submit | Self::Enqueue | Self::Watch => both(Self::Echo),
            Self::Run => [both(Self::Echo), both(Self::EchoStream)].concat(),
            Self::Stream(_) | Self::RemoteStream(_) => both(Self::Echo),
            Self::RunAlone | Self::SubmitAlone => both(Self::EchoAlone),
            Self::Tls(probe) | Self::Identity(probe) | Self::Durable(probe) | Self::Backlog(probe) => {
                vec![*probe]
            }
            Self::Overload => vec![Self::Busy],
            Self::WatchIdle => both(Self::EchoIdle),
        }
    }

    /// Whether the server has a log on disk.
    pub(super) fn is_on_disk(self) -> bool {
        matches!(self, Self::Durable(_))
    }

    /// Whether the report shows its rate and CPU time.
    pub(super) fn has_rate(self) -> bool {
        !matches!(self, Self::EchoIdle(_) | Self::WatchIdle | Self::Memory)
    }

    /// Bytes for each call, job or watch, if the report shows them: growth of the server's memory without payloads, or
    /// bytes of its log.
    pub(super) fn bytes_each(self, sample: &Sample) -> Option<f64> {
        match self {
            Self::EchoIdle(_) | Self::WatchIdle => Some(sample.growth_bytes),
            Self::Durable(_) => Some(sample.logged_bytes),
            Self::Restart | Self::WatchLeft => Some(sample.growth_bytes),
            Self::Memory | Self::Enqueue => Some(sample.growth_bytes - jobs::PAYLOAD.len() as f64),
            _ => None,
        }
    }

    fn server(self) -> ServerKind {
        match self {
            Self::Echo(kind) | Self::EchoAlone(kind) => kind,
            Self::EchoStream(kind) | Self::EchoIdle(kind) => kind,
            Self::HttpEcho => ServerKind::EchoHttp,
            Self::Tls(_) => ServerKind::Tls,
            Self::Identity(_) => ServerKind::Identity,
            Self::Durable(_) | Self::Start | Self::Restart => ServerKind::Durable,
            Self::Busy | Self::Overload | Self::Refused => ServerKind::Small,
            _ => ServerKind::Jobs,
        }
    }

    /// Measures once, on a fresh server.
    pub(super) async fn measure(self, bench: &Bench) -> Result<Sample> {
        if self == Self::Start {
            return restart::start().await;
        }
        let server = ServerProcess::start(self.server())?;
        match self {
            Self::Tls(probe) | Self::Identity(probe) | Self::Durable(probe) => {
                probe.measure_on(server, bench).await
            }
            Self::Backlog(probe) => {
                stream::fill(&server, queueing(), bench.jobs.get().into()).await?;
                probe.measure_on(server, bench).await
            }
            _ => self.measure_on(server, bench).await,
        }
    }

    async fn measure_on(self, server: ServerProcess, bench: &Bench) -> Result<Sample> {
        let load = Load {
            connections: bench.connections.get(),
            in_flight: bench.in_flight.get(),
            seconds: bench.seconds,
        };
        let alone = Load { connections: 1, in_flight: 1, ..load };
        let loop_of = |(call, check), load| calls::measure(&server, load, call, check);
        match self {
            Self::Echo(_) => loop_of(jobs::echo()?, load).await,
            Self::EchoAlone(_) => loop_of(jobs::echo()?, alone).await,
            Self::EchoStream(_) => loop_of(jobs::echo_stream()?, load).await,
            Self::EchoIdle(_) => watch::idle_echo(&server, bench.watchers.get()).await,
            Self::HttpEcho => http::measure(&server, load, http::echo()).await,
            Self::HttpSubmit => http::measure(&server, load, http::submit()).await,
            Self::Submit => loop_of(jobs::submit(jobs::ECHO_KIND)?, load).await,
            Self::SubmitAlone => loop_of(jobs::submit(jobs::ECHO_KIND)?, alone).await,
            Self::Tls(_) | Self::Identity(_) | Self::Durable(_) | Self::Backlog(_) | Self::Start => {
                Err(super::Failed::new("this measurement starts its own server").into())
            }
            Self::Busy => overload::at_capacity(&server, load).await,
            Self::Overload => overload::overloaded(&server, load, overload::Part::Accepted).await,
            Self::Refused => overload::overloaded(&server, load, overload::Part::Refused).await,
            Self::Restart => restart::restart(server, queueing(), bench.jobs.get().into()).await,
            Self::Enqueue => loop_of(jobs::submit(jobs::IDLE_KIND)?, load).await,
            Self::Run => loop_of(jobs::run()?, load).await,
            Self::RunAlone => loop_of(jobs::run()?, alone).await,
            Self::Stream(jobs) => {
                let stream_load = stream_of(jobs::ECHO_KIND, jobs, WINDOW_JOBS);
                stream::measure(&server, stream_load, bench.connections.get(), bench.seconds).await
            }
            Self::RemoteStream(jobs) => {
                let stream_load = stream_of(jobs::REMOTE_KIND, jobs, REMOTE_WINDOW_JOBS);
                let server = server.with_worker()?;
                stream::measure(&server, stream_load, bench.connections.get(), bench.seconds).await
            }
            Self::Memory => stream::fill_measured(&server, queueing(), bench.jobs.get().into()).await,
            Self::Watch => watch::fan_out(&server, bench.watchers.get()).await,
            Self::WatchIdle => watch::idle(&server, bench.watchers.get()).await,
            Self::WatchLeft => watch::left(&server, bench.watchers.get()).await,
        }
    }
}

/// Jobs of one stream without an outcome yet: a twentieth of what a server allows.
const WINDOW_JOBS: u32 = 3_200;
/// The same for a worker in another process: with more, most jobs would be queued for its slots.
const REMOTE_WINDOW_JOBS: u32 = 1_600;

fn stream_of(kind: &'static str, jobs_per_message: u32, window_jobs: u32) -> StreamLoad {
    StreamLoad { kind, jobs_per_message, window_jobs, outcomes: true }
}

fn queueing() -> StreamLoad {
    StreamLoad { kind: jobs::IDLE_KIND, jobs_per_message: 100, window_jobs: 1_600, outcomes: false }
}
