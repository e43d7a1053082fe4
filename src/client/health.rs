//! The health of the server, as its paths `/livez` and `/readyz` answer it.

use std::collections::BTreeMap;

use tokio::time;

use super::error::{Error, ErrorKind, Result};
use super::{Client, status};

/// What is asked about a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Whether it works. If not, it should be restarted.
    Live,
    /// Whether it answers calls now.
    Ready,
}

/// The health of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Whether the answer is yes.
    pub is_ok: bool,
    /// The result of each check by its name: `ok`, or what is wrong in a few words.
    pub checks: BTreeMap<String, String>,
}

/// The body of an answer.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Answer {
    Health {
        checks: BTreeMap<String, String>,
    },
    /// A problem as in RFC 9457.
    Refusal {
        detail: String,
    },
}

impl Client {
    /// The health of the server. The request has no credential and is sent once: a probe must not wait for a better answer.
    ///
    /// # Errors
    ///
    /// `Unreachable` or `DeadlineExceeded` if no server answers; `Unreadable` if it has no such path.
    pub async fn health(&self, probe: Probe) -> Result<Health> {
        let path = match probe {
            Probe::Live => "/livez",
            Probe::Ready => "/readyz",
        };
        let answer = time::timeout(self.options().call_timeout, self.channel().get(path)).await;
        let (code, body) = match answer {
            Ok(answer) => answer.map_err(|error| status::unreachable_by(self.address(), &*error))?,
            Err(_) => return Err(status::timed_out(self.address())),
        };
        match serde_json::from_slice(&body) {
            Ok(Answer::Health { checks }) => Ok(Health { is_ok: code.is_success(), checks }),
            Ok(Answer::Refusal { detail }) => Err(self.refused(path, &format!("{code}: {detail}"))),
            Err(_) => Err(self.refused(path, &code.to_string())),
        }
    }

    fn refused(&self, path: &str, answer: &str) -> Error {
        let message = format!("{} answered {path} with HTTP status {answer}", self.address());
        Error::new(ErrorKind::Unreadable, "", message)
    }
}
