//! Filters of jobs, as flags.

use clap::Args;
use jobstream::proto::v1::{JobState, ListJobsRequest};
use prost_types::Timestamp;

use crate::units;

/// The values of `--state`, in lower case as they are typed.
pub(super) const STATES: [&str; 6] = ["scheduled", "queued", "running", "succeeded", "failed", "cancelled"];

/// Which jobs match.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Filters")]
pub(super) struct Filter {
    /// Only in these states: scheduled, queued, running, succeeded,
    /// failed, cancelled
    #[arg(long = "state", value_name = "STATES", value_delimiter = ',', ignore_case = true)]
    #[arg(value_parser = STATES, hide_possible_values = true)]
    states: Vec<String>,
    /// Only of this kind
    #[arg(long)]
    kind: Option<String>,
    /// Only in this queue
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// Only with this label; repeatable
    #[arg(long = "label", value_name = "K=V", value_parser = units::pair)]
    labels: Vec<(String, String)>,
    /// Only accepted since then: 15m ago, or a time
    #[arg(long, value_name = "WHEN", value_parser = units::past)]
    since: Option<Timestamp>,
    /// Only accepted before then: 15m ago, or a time
    #[arg(long, value_name = "WHEN", value_parser = units::past)]
    before: Option<Timestamp>,
}

impl Filter {
    /// Whether no filter is set.
    pub(super) fn is_empty(&self) -> bool {
        self.states.is_empty()
            && self.kind.is_none()
            && self.queue.is_none()
            && self.labels.is_empty()
            && self.since.is_none()
            && self.before.is_none()
    }

    /// The request for the first page of the jobs that match.
    pub(super) fn request(&self) -> ListJobsRequest {
        ListJobsRequest {
            states: self.states.iter().filter_map(|name| state(name)).map(i32::from).collect(),
            kind: self.kind.clone().unwrap_or_default(),
            queue: self.queue.clone().unwrap_or_default(),
            labels: units::pairs(&self.labels),
            create_time_from: self.since,
            create_time_before: self.before,
            ..ListJobsRequest::default()
        }
    }
}

/// The state with this name.
pub(super) fn state(name: &str) -> Option<JobState> {
    JobState::from_str_name(&format!("JOB_STATE_{}", name.to_uppercase()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use crate::Cli;

    #[test]
    fn only_filters_are_listed_as_filters() {
        let cli = Cli::command();
        let jobs = cli.find_subcommand("jobs").expect("it exists");
        for verb in ["ls", "cancel", "retry", "rm"] {
            let arguments = jobs.find_subcommand(verb).expect("it exists").get_arguments();
            let filters: Vec<_> = arguments
                .filter(|argument| argument.get_help_heading() == Some("Filters"))
                .map(|argument| argument.get_id().as_str())
                .collect();
            assert_eq!(filters, ["states", "kind", "queue", "labels", "since", "before"], "{verb}");
        }
    }
}
