//! Waits for the end of a job by long polling, across lost connections, and reads its result.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::de::value::StrDeserializer;
use tokio::time::{self, Instant};

use super::backoff::Outage;
use super::connection::Link;
use super::error::{ErrorKind, Result};
use super::tries::{LIMIT_MAX, Tries};
use super::{Client, jobs, restart, status};
use crate::job::{Encoding, JSON, JobId, Outcome, Payload};
use crate::proto::{read, render, v1};

/// Length of one long poll. Proxies cut calls that are idle for a minute.
const POLL: Duration = Duration::from_secs(30);

/// Shortest time between two polls, for a server that answers early because it has too many waiters.
const POLL_AGAIN: Duration = Duration::from_millis(250);

/// How the job ended. Waits for the end without a limit.
pub(super) async fn outcome(client: &Client, job_id: JobId, seen: Option<Instant>) -> Result<Outcome> {
    let answer = wait(client, job_id, None, seen).await?;
    let outcome = answer.outcome.and_then(read::outcome);
    outcome.ok_or_else(|| status::unreadable(client.address(), "an outcome"))
}

/// The answer of GetResult once the job has ended or the limit has passed.
pub(super) async fn wait(
    client: &Client,
    job_id: JobId,
    limit: Option<Duration>,
    mut seen: Option<Instant>,
) -> Result<v1::GetResultResponse> {
    let deadline = limit.map(|limit| Instant::now() + limit.min(LIMIT_MAX));
    let left =
        || deadline.map_or(POLL, |deadline| deadline.saturating_duration_since(Instant::now()).min(POLL));
    let mut outage = Outage::new(client.options());
    loop {
        let started = Instant::now();
        let link = client.connection().for_held_call();
        match poll(client, &link, job_id, left()).await {
            Ok(answer) if answer.outcome.is_some() || left().is_zero() => return Ok(answer),
            Ok(_) => {
                seen = Some(Instant::now());
                outage.end();
                time::sleep_until(started + POLL_AGAIN.min(left())).await;
            }
            Err(error) => {
                if error.kind() == ErrorKind::DeadlineExceeded {
                    // The server answers a poll long before: this connection is dead.
                    client.connection().replace(&link);
                }
                let error = restart::explain(client, job_id, seen, error).await;
                outage.pause(client, error).await?;
            }
        }
    }
}

/// One call, which the server may hold for this long.
async fn poll(client: &Client, link: &Link, job_id: JobId, held: Duration) -> Result<v1::GetResultResponse> {
    let request = v1::GetResultRequest { job_id: job_id.to_string(), wait: Some(render::duration(held)) };
    let send = |channel, request| async move { jobs(channel).get_result(request).await };
    let limit = client.options().call_timeout.saturating_add(held);
    Tries::within(client, limit).once(link.channel.clone(), request, send).await
}

/// The content of a payload as a `T`. Text without the JSON content type is read as a string first.
pub(super) fn typed<T: DeserializeOwned>(payload: &Payload) -> Result<T, serde_json::Error> {
    let is_plain_text = payload.encoding == Encoding::Text && payload.content_type() != JSON;
    if is_plain_text && let Ok(text) = str::from_utf8(&payload.bytes) {
        let plain = StrDeserializer::<serde::de::value::Error>::new(text);
        if let Ok(value) = T::deserialize(plain) {
            return Ok(value);
        }
    }
    let bytes = if payload.is_empty() { &b"null"[..] } else { &payload.bytes[..] };
    serde_json::from_slice(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_as_text_and_json_as_json() {
        let text = |text: &str| Payload::text(text);
        assert_eq!(typed::<String>(&text("42")).unwrap(), "42");
        assert_eq!(typed::<u32>(&text("42")).unwrap(), 42);
        assert_eq!(typed::<serde_json::Value>(&text("[1]")).unwrap(), "[1]");
        assert_eq!(typed::<Vec<u8>>(&text("[1]")).unwrap(), [1]);
        let json = text("\"42\"").with_content_type(JSON);
        assert_eq!(typed::<String>(&json).unwrap(), "42");
        assert_eq!(typed::<Vec<u8>>(&Payload::json_text("[1]")).unwrap(), [1]);
    }

    #[test]
    fn no_content_reads_as_null() {
        assert_eq!(typed::<Option<u32>>(&Payload::default()).unwrap(), None);
        typed::<()>(&Payload::default()).unwrap();
        assert!(typed::<u32>(&Payload::default()).is_err());
    }
}
