//! The audit log: one line for each call that controls jobs, queues or workers, or mints a token.

use super::Api;
use super::access::Access;
use super::call::ConnectionInfo;

/// The target of the lines in the log, for filters.
const TARGET: &str = "jobstream::audit";

impl Api {
    /// Logs that a caller with these extensions has done something with `subject`. Refused calls are logged as refusals.
    pub(super) fn audit(&self, extensions: &http::Extensions, method: &'static str, subject: &str) {
        let access = Access::of(extensions);
        let principal = access.principal().map_or("", |principal| &**principal.name());
        let peer =
            extensions.get::<ConnectionInfo>().map(|connection| tracing::field::display(connection.peer));
        tracing::info!(target: TARGET, method, principal, subject, peer, "audit");
    }
}
