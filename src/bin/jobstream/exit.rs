//! The exit codes of the command line. They are stable; `jobstream --help` lists them.

use std::process::ExitCode;

use jobstream::proto::v1::JobState;

/// How a command ended, as a script sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Success; a job that was waited for succeeded.
    Ok = 0,
    /// The job failed, or the server of `health` is not healthy.
    JobFailed = 1,
    /// A flag, an argument, a config file or a field of the request is wrong.
    Usage = 2,
    /// The job was cancelled.
    JobCancelled = 3,
    /// No or bad credentials, or not allowed.
    Auth = 4,
    /// No such job, queue or worker.
    NotFound = 5,
    /// The wait timed out before the job ended.
    WaitTimedOut = 6,
    /// The server cannot be reached, or was lost.
    Unreachable = 7,
    /// The server refuses calls for now: queue full, draining.
    Rejected = 8,
    /// The job's result is past its retention.
    Expired = 9,
    /// Anything else.
    Other = 10,
    /// The server's log could not be written. Jobs acknowledged before are stored.
    LogFailed = 70,
    /// Ctrl-C, SIGTERM or SIGHUP.
    Interrupted = 130,
}

impl Exit {
    /// Whether the server was lost or refuses calls for now, so that the command may be repeated.
    pub(crate) fn is_temporary(self) -> bool {
        matches!(self, Self::Unreachable | Self::Rejected)
    }

    /// The exit code of a wait for a job in this state.
    pub(crate) fn of_job(state: JobState) -> Self {
        match state {
            JobState::Succeeded => Self::Ok,
            JobState::Failed => Self::JobFailed,
            JobState::Cancelled => Self::JobCancelled,
            JobState::Unspecified | JobState::Scheduled | JobState::Queued | JobState::Running => {
                Self::WaitTimedOut
            }
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The end of `jobstream --help`.
pub(crate) const HELP: &str = "\
Data goes to stdout, everything else to stderr.

Examples:
  jobstream dev
  jobstream run demo.echo '{\"hi\": \"there\"}'
  jobstream submit demo.count '{\"to\": 5}' --watch

Exit codes:
    0  ok; a job waited for succeeded
    1  the job failed; health: not ready, or not live
    2  usage: a wrong flag, argument, config file or field
    3  the job was cancelled
    4  not authenticated, or not allowed
    5  no such job, queue or worker
    6  the wait timed out; the job continues, its id is on stderr
    7  the server cannot be reached
    8  the server refuses for now (queue full, draining)
    9  the result expired
   10  any other error
   70  the server's log failed; acknowledged jobs are stored
  130  interrupted (Ctrl-C); the job continues, its id is on stderr";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_lists_every_code() {
        let listed: Vec<u8> =
            HELP.lines().skip(1).filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
        assert_eq!(listed, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 70, Exit::Interrupted as u8]);
    }

    #[test]
    fn a_job_that_has_not_ended_is_a_wait_timed_out() {
        assert_eq!(Exit::of_job(JobState::Running), Exit::WaitTimedOut);
        assert_eq!(Exit::of_job(JobState::Failed), Exit::JobFailed);
        assert_eq!(Exit::of_job(JobState::Cancelled), Exit::JobCancelled);
    }
}
