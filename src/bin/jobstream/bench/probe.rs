//! What can be measured, on which server, and beside which echo.

use super::calls::{self, Load};
use super::child::ServerProcess;
use super::lane::{self, Lane};
use super::sample::Sample;
use super::server::ServerKind;
use super::{Bench, Result, Scenario, jobs, overload, restart, watch};

/// One kind of measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// The bare echo, many in flight.
    Echo(ServerKind),
    /// The bare echo, one in flight.
    EchoAlone(ServerKind),
    /// The bare echo as a stream of as many messages as Run answers, many in flight.
    EchoStream(ServerKind),
    /// Silent streams of the echo service.
    EchoIdle(ServerKind),
    /// Submit of an echo job, which runs as well.
    Submit,
    /// The same, one in flight.
    SubmitAlone,
    /// One of the others on a server with a log on disk.
    Durable(Common),
    /// One of the others while many jobs wait.
    Crowded(Common),
    /// Submit of a job that stays queued.
    Enqueue,
    /// Run of an echo job.
    Run,
    /// The same, one in flight.
    RunAlone,
    /// SubmitStream with outcomes, this many echo jobs a message.
    Stream(u32),
    /// The same with jobs that a worker in a process of its own runs.
    RemoteStream(u32),
    /// Run of jobs that take their time, just as many as a small server can take.
    Busy,
    /// The same with ten times as many as it can run: those that it takes.
    Overload,
    /// Those that it refuses.
    Refused,
    /// Start of a server with a log on disk.
    Start,
    /// The same with queued jobs in it.
    Restart,
    /// Queued jobs by SubmitStream, for their memory.
    Memory,
    /// One event to many watchers.
    Watch,
    /// Watchers of a job that nothing happens to.
    WatchIdle,
    /// From when they leave until the server's memory is back.
    WatchLeft,
}

/// What is measured under more than one condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Common {
    Submit,
    SubmitAlone,
    Enqueue,
    /// SubmitStream, this many jobs a message.
    Stream(u32),
}

impl Common {
    /// The same in memory, with nothing else going on.
    fn alone(self) -> Probe {
        match self {
            Self::Submit => Probe::Submit,
            Self::SubmitAlone => Probe::SubmitAlone,
            Self::Enqueue => Probe::Enqueue,
            Self::Stream(jobs) => Probe::Stream(jobs),
        }
    }
}

impl Scenario {
    /// Its measurements.
    pub(super) fn probes(self) -> Vec<Probe> {
        match self {
            Self::Submit => vec![Probe::Submit],
            Self::Enqueue => vec![Probe::Enqueue],
            Self::Run => vec![Probe::Run],
            Self::SubmitStream => vec![Probe::Stream(1), Probe::Stream(100)],
            Self::Remote => vec![Probe::Stream(100), Probe::RemoteStream(100)],
            Self::Durable => {
                let calls = [Common::Submit, Common::SubmitAlone, Common::Enqueue];
                let on_disk = calls.into_iter().chain([Common::Stream(1), Common::Stream(100)]);
                on_disk.flat_map(|probe| [probe.alone(), Probe::Durable(probe)]).collect()
            }
            Self::Restart => vec![Probe::Start, Probe::Restart],
            Self::Crowded => {
                let both = [Common::Submit, Common::Stream(100)];
                both.into_iter().flat_map(|probe| [probe.alone(), Probe::Crowded(probe)]).collect()
            }
            Self::Overload => vec![Probe::Busy, Probe::Overload, Probe::Refused],
            Self::Watch => vec![Probe::Watch, Probe::WatchIdle, Probe::WatchLeft],
            Self::Latency => vec![Probe::RunAlone],
            Self::Memory => vec![Probe::Memory],
        }
    }
}

impl Probe {
    /// What the tables call it.
    pub(super) fn name(self) -> String {
        let layout = |kind| if kind == ServerKind::EchoStock { ", stock tonic" } else { "" };
        match self {
            Self::Echo(kind) => format!("echo{}", layout(kind)),
            Self::EchoAlone(kind) => format!("echo, one in flight{}", layout(kind)),
            Self::EchoStream(kind) => format!("echo, as a stream{}", layout(kind)),
            Self::EchoIdle(kind) => format!("echo, idle stream{}", layout(kind)),
            Self::Submit => "submit".to_owned(),
            Self::SubmitAlone => "submit, one in flight".to_owned(),
            Self::Durable(probe) => format!("{}, on disk", probe.alone().name()),
            Self::Crowded(probe) => format!("{}, many jobs wait", probe.alone().name()),
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

    /// What it is compared with: echoes on our runtime layout and on tonic's own server, or the same in memory.
    pub(super) fn beside(self) -> Vec<Self> {
        let both = |echo: fn(ServerKind) -> Self| vec![echo(ServerKind::Echo), echo(ServerKind::EchoStock)];
        match self {
            Self::Echo(_) | Self::EchoAlone(_) | Self::EchoStream(_) | Self::EchoIdle(_) => Vec::new(),
            Self::Memory => Vec::new(),
            Self::Start | Self::Restart | Self::Busy | Self::Refused | Self::WatchLeft => Vec::new(),
            Self::Submit | Self::Enqueue | Self::Watch => both(Self::Echo),
            Self::Run => [both(Self::Echo), both(Self::EchoStream)].concat(),
            Self::Stream(_) | Self::RemoteStream(_) => both(Self::Echo),
            Self::RunAlone | Self::SubmitAlone => both(Self::EchoAlone),
            Self::Durable(probe) | Self::Crowded(probe) => vec![probe.alone()],
            Self::Overload => vec![Self::Busy],
            Self::WatchIdle => both(Self::EchoIdle),
        }
    }

    /// Whether it is measured with a log on disk.
    pub(super) fn is_on_disk(self) -> bool {
        matches!(self, Self::Durable(_))
    }

    /// Whether its rate and CPU are of interest.
    pub(super) fn has_rate(self) -> bool {
        !matches!(self, Self::EchoIdle(_) | Self::WatchIdle | Self::Memory)
    }

    /// Bytes for each, where that is of interest: by how much the server's memory grew beside the payload, or those that
    /// its log took.
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
            Self::Durable(probe) => probe.alone().measure_on(server, bench).await,
            Self::Crowded(probe) => {
                lane::fill(&server, queueing(), bench.jobs.get().into()).await?;
                probe.alone().measure_on(server, bench).await
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
            Self::Submit => loop_of(jobs::submit(jobs::ECHO_KIND)?, load).await,
            Self::SubmitAlone => loop_of(jobs::submit(jobs::ECHO_KIND)?, alone).await,
            Self::Durable(_) | Self::Crowded(_) | Self::Start => {
                Err(super::Failed::new("it is measured elsewhere").into())
            }
            Self::Busy => overload::as_many_as_fit(&server, load).await,
            Self::Overload => overload::too_many(&server, load, overload::Part::Taken).await,
            Self::Refused => overload::too_many(&server, load, overload::Part::Refused).await,
            Self::Restart => restart::restart(server, queueing(), bench.jobs.get().into()).await,
            Self::Enqueue => loop_of(jobs::submit(jobs::IDLE_KIND)?, load).await,
            Self::Run => loop_of(jobs::run()?, load).await,
            Self::RunAlone => loop_of(jobs::run()?, alone).await,
            Self::Stream(jobs) => {
                let lane = stream(jobs::ECHO_KIND, jobs, WINDOW_JOBS);
                lane::measure(&server, lane, bench.connections.get(), bench.seconds).await
            }
            Self::RemoteStream(jobs) => {
                let lane = stream(jobs::REMOTE_KIND, jobs, REMOTE_WINDOW_JOBS);
                let server = server.with_worker()?;
                lane::measure(&server, lane, bench.connections.get(), bench.seconds).await
            }
            Self::Memory => lane::fill_measured(&server, queueing(), bench.jobs.get().into()).await,
            Self::Watch => watch::fan_out(&server, bench.watchers.get()).await,
            Self::WatchIdle => watch::idle(&server, bench.watchers.get()).await,
            Self::WatchLeft => watch::left(&server, bench.watchers.get()).await,
        }
    }
}

/// Jobs of one stream that are not answered for yet: a twentieth of what a server lets wait.
const WINDOW_JOBS: u32 = 3_200;
/// The same where a worker in another process runs them: with more, most would wait for its slots.
const REMOTE_WINDOW_JOBS: u32 = 1_600;

fn stream(kind: &'static str, jobs_per_message: u32, window_jobs: u32) -> Lane {
    Lane { kind, jobs_per_message, window_jobs, outcomes: true }
}

fn queueing() -> Lane {
    Lane { kind: jobs::IDLE_KIND, jobs_per_message: 100, window_jobs: 1_600, outcomes: false }
}
