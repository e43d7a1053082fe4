//! What each call needs, stated apart from the code of the server.

use super::callers::{Caller, Job};
use super::calls::Outcome;

/// What a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// No credential.
    Open,
    /// Any credential, also one without grants.
    Anyone,
    /// Some grant.
    AnyGrant,
    /// The grant for the queue of a new job.
    Submit,
    /// As `Submit`, and `read` for a job of the caller's own.
    Run,
    /// `list` for anything; the jobs are filtered.
    List,
    /// `list` or `admin` for anything; the queues are filtered.
    ListQueues,
    /// `read` for the job.
    Read,
    /// As `Read`, and a credential that is no minted token.
    Mint,
    /// `read` and `control` for the job.
    Control,
    /// As `Control`, and `submit` for the queue of the job.
    Retry,
    /// `work` for the queue of the worker.
    Work,
    /// `work` for anything: leases belong to their principal.
    Report,
    /// `admin` for the queue.
    AdminQueue,
    /// `admin` for anything; the workers are filtered.
    AdminSome,
    /// `admin` for all queues.
    AdminAll,
    /// `metrics`, without a limit.
    Metrics,
}

/// The rule of a call by the name of its RPC, or of its part for HTTP.
pub(super) fn rule_of(name: &str) -> Rule {
    match name {
        "JobService.Submit" | "JobService.BatchSubmit" | "JobService.SubmitStream" => Rule::Submit,
        "JobService.Run" => Rule::Run,
        "JobService.ListJobs" | "JobService.WatchJobs" | "AdminService.GetStats" => Rule::List,
        "JobService.GetResult"
        | "JobService.WatchResult"
        | "JobService.GetJob"
        | "JobService.GetPayload"
        | "JobService.GetResultPayload" => Rule::Read,
        "AccessService.MintToken" => Rule::Mint,
        "JobService.Cancel" | "JobService.Delete" => Rule::Control,
        "JobService.Retry" => Rule::Retry,
        "WorkerService.Work" | "WorkerService.Lease" => Rule::Work,
        "WorkerService.Report" => Rule::Report,
        "AdminService.ListQueues" => Rule::ListQueues,
        "AdminService.PauseQueue" | "AdminService.ResumeQueue" | "AdminService.PurgeQueue" => {
            Rule::AdminQueue
        }
        "AdminService.ListWorkers" | "AdminService.DrainWorker" => Rule::AdminSome,
        "AdminService.SetLogLevel" => Rule::AdminAll,
        "AdminService.GetServerInfo" => Rule::AnyGrant,
        "AccessService.WhoAmI" => Rule::Anyone,
        "metrics" => Rule::Metrics,
        "livez" | "readyz" => Rule::Open,
        _ => panic!("{name} has no rule: say who may call it"),
    }
}

impl Rule {
    /// The outcome of a call by this caller about this job, or its queue.
    pub(super) fn outcome(self, caller: &Caller, job: &Job) -> Outcome {
        let may = |action: &str| caller.may(action, job);
        let may_new = |action: &str| caller.may_new(action, job.queue);
        let permitted_if =
            |is_permitted: bool| if is_permitted { Outcome::Permitted } else { Outcome::Denied };
        match self {
            Self::Open | Self::Anyone => Outcome::Permitted,
            Self::AnyGrant => permitted_if(!caller.grants.is_empty()),
            Self::Submit => permitted_if(may_new("submit")),
            Self::Run => permitted_if(may_new("submit") && may_new("read")),
            Self::List => permitted_if(caller.may_some("list")),
            Self::ListQueues => permitted_if(caller.may_some("list") || caller.may_some("admin")),
            Self::Work => permitted_if(may_new("work")),
            Self::Report => permitted_if(caller.may_some("work")),
            Self::AdminQueue => permitted_if(may_new("admin")),
            Self::AdminSome => permitted_if(caller.may_some("admin")),
            Self::AdminAll => permitted_if(caller.may_all("admin")),
            Self::Metrics => permitted_if(caller.may_all("metrics")),
            // Before the job is looked up.
            Self::Mint if caller.reads.is_some() => Outcome::Denied,
            Self::Read | Self::Mint | Self::Control | Self::Retry if !may("read") => Outcome::NotFound,
            Self::Read | Self::Mint => Outcome::Permitted,
            Self::Control => permitted_if(may("control")),
            Self::Retry => permitted_if(may("control") && may_new("submit")),
        }
    }
}
