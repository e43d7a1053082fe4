//! The flags that describe a job, and their JobSpec.

use std::time::Duration;

use clap::Args;
use jobstream::job::{JobId, TraceContext};
use jobstream::proto::v1::job_spec::Start;
use jobstream::proto::v1::{self as wire, JobSpec, RetryPolicy};
use prost_types::{Duration as ProtoDuration, Timestamp};

use crate::error::Result;
use crate::payload::PayloadArgs;
use crate::units;

/// A job as it is typed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Job")]
pub(crate) struct JobArgs {
    /// Kind of the job: which handler runs it
    #[arg(help_heading = None::<&str>)]
    kind: String,
    #[command(flatten)]
    payload: PayloadArgs,
    /// Queue of the job [default: default]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    queue: String,
    /// UUID of the job; submitting it again gives the same job
    /// [default: a new one]
    #[arg(long, value_name = "UUID", value_parser = units::job_id)]
    job_id: Option<JobId>,
    /// -100 to 100; larger starts first
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(i32).range(-100..=100))]
    priority: i32,
    /// Start delay
    #[arg(long, value_name = "SPAN", value_parser = units::proto_duration, conflicts_with = "at")]
    #[arg(allow_hyphen_values = true)]
    delay: Option<ProtoDuration>,
    /// Earliest start (2026-12-24T18:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = units::timestamp)]
    at: Option<Timestamp>,
    /// Timeout of the whole job [default: none]
    #[arg(long, value_name = "SPAN", value_parser = units::proto_duration)]
    timeout: Option<ProtoDuration>,
    /// Timeout of one attempt [default: 1h]
    #[arg(long, value_name = "SPAN", value_parser = units::proto_duration)]
    attempt_timeout: Option<ProtoDuration>,
    /// Attempts after the first: the former name of `max_attempts`, less one
    #[arg(long, value_name = "N", conflicts_with = "max_attempts", hide = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..100))]
    retries: Option<u32>,
    /// Attempts in all, the first included [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    max_attempts: Option<u32>,
    /// Back-off before the second attempt; it doubles [default: 1s]
    #[arg(long, value_name = "SPAN", value_parser = units::duration)]
    backoff: Option<Duration>,
    /// Retention of the finished job [default: 1h]
    #[arg(long, value_name = "SPAN", value_parser = units::proto_duration)]
    retention: Option<ProtoDuration>,
    /// Label to filter by; repeatable
    #[arg(long = "label", value_name = "K=V", value_parser = units::pair)]
    labels: Vec<(String, String)>,
    /// Header for the handler; repeatable
    #[arg(long = "header", value_name = "K=V", value_parser = units::pair)]
    headers: Vec<(String, String)>,
}

impl JobArgs {
    /// The job. Its id is always set, so that submitting it twice is safe.
    ///
    /// # Errors
    ///
    /// If the payload cannot be read.
    pub(crate) fn spec(&self) -> Result<JobSpec> {
        let start = match (self.delay, self.at) {
            (Some(delay), _) => Some(Start::StartDelay(delay)),
            (None, Some(time)) => Some(Start::StartTime(time)),
            (None, None) => None,
        };
        Ok(JobSpec {
            job_id: self.job_id.unwrap_or_else(JobId::mint).to_string(),
            kind: self.kind.clone(),
            queue: self.queue.clone(),
            payload: self.payload.read()?,
            priority: self.priority,
            start,
            attempt_timeout: self.attempt_timeout,
            timeout: self.timeout,
            retry: self.retry_policy(),
            retention: self.retention,
            labels: units::pairs(&self.labels),
            headers: units::pairs(&self.headers),
            trace_context: ambient_trace(|name| std::env::var(name).ok()),
        })
    }

    fn retry_policy(&self) -> Option<RetryPolicy> {
        let attempts = self.max_attempts.or(self.retries.map(|retries| retries + 1));
        if attempts.is_none() && self.backoff.is_none() {
            return None;
        }
        Some(RetryPolicy {
            max_attempts: attempts.unwrap_or_default(),
            initial_backoff: self.backoff.and_then(|backoff| backoff.try_into().ok()),
            ..RetryPolicy::default()
        })
    }
}

/// The trace context in the environment, which a program that runs as a job has. What is malformed is ignored.
fn ambient_trace(variable: impl Fn(&str) -> Option<String>) -> Option<wire::TraceContext> {
    let [parent, state, baggage] = ["TRACEPARENT", "TRACESTATE", "BAGGAGE"].map(variable);
    let context = TraceContext::of_headers(parent.as_deref(), state.as_deref(), baggage.as_deref())?;
    Some(wire::TraceContext {
        traceparent: context.traceparent().unwrap_or_default(),
        tracestate: context.tracestate().to_owned(),
        baggage: context.baggage().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        job: JobArgs,
    }

    fn spec(line: &str) -> Result<JobSpec, String> {
        let words = ["submit"].into_iter().chain(line.split(' '));
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        line.job.spec().map_err(|error| error.message)
    }

    #[test]
    fn every_flag_reaches_the_spec() {
        let spec = spec(
            "resize {\"w\":1} --queue media --job-id 01890000-0000-7000-8000-000000000001 --priority -5 --delay 5s \
             --timeout 1h --attempt-timeout 1m --retries 2 --backoff 3s --retention 1d --label a=1 --label b=2 \
             --header traceparent=00-x",
        )
        .expect("a job");
        let seconds = |seconds| ProtoDuration { seconds, nanos: 0 };
        assert_eq!((spec.kind.as_str(), spec.queue.as_str(), spec.priority), ("resize", "media", -5));
        assert_eq!(spec.job_id, "01890000-0000-7000-8000-000000000001");
        assert_eq!(spec.start, Some(Start::StartDelay(seconds(5))));
        assert_eq!(spec.timeout, Some(seconds(3_600)));
        assert_eq!(spec.attempt_timeout, Some(seconds(60)));
        assert_eq!(spec.retention, Some(seconds(86_400)));
        let retry = spec.retry.expect("a policy");
        assert_eq!((retry.max_attempts, retry.initial_backoff), (3, Some(seconds(3))));
        assert_eq!(spec.labels.len(), 2);
        assert_eq!(spec.headers["traceparent"], "00-x");
        assert!(spec.payload.is_some());
    }

    #[test]
    fn the_trace_of_the_environment_is_passed_on() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = ambient_trace(|name| (name == "TRACEPARENT").then(|| parent.to_owned()));
        let passed = wire::TraceContext { traceparent: parent.to_owned(), ..Default::default() };
        assert_eq!(trace, Some(passed));
        assert_eq!(ambient_trace(|name| (name != "BAGGAGE").then(|| "broken".to_owned())), None);
    }

    #[test]
    fn what_is_not_given_is_left_to_the_server() {
        let plain = spec("demo.echo").expect("a job");
        assert!(uuid::Uuid::parse_str(&plain.job_id).expect("an id of our own").get_version_num() == 7);
        assert_eq!(
            JobSpec { job_id: String::new(), ..plain },
            JobSpec { kind: "demo.echo".into(), ..JobSpec::default() }
        );
    }

    #[test]
    fn flags_that_contradict_each_other_are_refused() {
        for line in [
            "k --delay 1s --at 2026-01-01T00:00:00Z",
            "k --retries 1 --max-attempts 2",
            "k --priority 101",
            "k --max-attempts 0",
            "k --delay -1s",
            "k --job-id 7",
            "k --label x",
        ] {
            assert!(spec(line).is_err(), "{line}");
        }
    }
}
