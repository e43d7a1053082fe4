//! Checks that the values of a config are consistent.

use std::num::NonZeroU32;

use jobstream::engine::QUEUES_MAX;
use jobstream::wal::{self, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};

use super::budget::check_memory;
use super::{LimitsConfig, ServerConfig, TlsConfig, WorkerConfig};
use crate::error::{Error, Result};
use crate::output::text;

/// Most bytes of a message beside its payload.
const ENVELOPE_BYTES: u64 = 64 << 10;

impl ServerConfig {
    /// Checks the values against each other.
    ///
    /// # Errors
    ///
    /// A usage error that names both values and what to do.
    pub(crate) fn check(&self) -> Result<()> {
        self.problems().into_iter().next().map_or(Ok(()), Err)
    }

    /// Every problem of the values.
    pub(crate) fn problems(&self) -> Vec<Error> {
        let checks = [
            check_data(self),
            check_tls(&self.tls),
            self.auth.check(self.tls.client_ca.is_some()),
            check_memory(&self.limits),
            check_queues(&self.limits),
            check_sizes(&self.limits),
            check_connections(&self.limits),
            check_garbage(self.limits.compaction_garbage),
            check_spans(&self.worker),
        ];
        checks.into_iter().filter_map(Result::err).collect()
    }
}

fn check_data(config: &ServerConfig) -> Result<()> {
    let segment_bytes = config.limits.segment_bytes;
    if let Some(bytes) = segment_bytes.filter(|bytes| !wal::Options::is_segment_size(*bytes)) {
        let [least, most] = [SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX].map(text::bytes);
        return Err(Error::usage(format!(
            "segment_bytes is {bytes}: it must be a multiple of 4 KiB from {least} to {most}"
        )));
    }
    let Some(bytes_max) = config.data_bytes_max else { return Ok(()) };
    if config.data.is_none() {
        return Err(Error::usage(format!(
            "data_bytes_max is {bytes_max}, but no data directory is given: name one with data"
        )));
    }
    let mut log = wal::Options::within(bytes_max);
    log.segment_bytes = segment_bytes.unwrap_or(log.segment_bytes);
    if bytes_max < log.bytes_min() {
        let [given, least, segment] = [bytes_max, log.bytes_min(), log.segment_bytes].map(text::bytes);
        return Err(Error::usage(format!(
            "data_bytes_max is {given}: it must be at least {least} with segments of {segment}"
        )));
    }
    Ok(())
}

fn check_tls(tls: &TlsConfig) -> Result<()> {
    let TlsConfig { cert, key, client_ca, client_auth, poll_interval } = tls;
    let is_any_set = *tls != TlsConfig::default();
    if is_any_set && !cfg!(feature = "tls") {
        let text = "tls.* is set (--tls-cert and others), but this jobstream was built without TLS: build it with \
                    the feature tls";
        return Err(Error::usage(text));
    }
    match (cert, key) {
        (Some(_), None) => Err(Error::usage("tls.cert is set without tls.key: name the key with --tls-key")),
        (None, Some(_)) => {
            Err(Error::usage("tls.key is set without tls.cert: name the certificate with --tls-cert"))
        }
        (None, None) if is_any_set => {
            Err(Error::usage("tls.* is set without tls.cert: TLS needs --tls-cert and --tls-key"))
        }
        _ if client_auth.is_some() && client_ca.is_none() => Err(Error::usage(
            "tls.client_auth is set without tls.client_ca: name the CAs of client certificates with --tls-client-ca",
        )),
        _ if poll_interval.is_some_and(|interval| interval.is_zero()) => {
            Err(Error::usage("tls.poll_interval is 0: it must be more than 0, such as 10s"))
        }
        _ => Ok(()),
    }
}

fn check_queues(limits: &LimitsConfig) -> Result<()> {
    match limits.queues_max.map(NonZeroU32::get) {
        Some(count) if count > QUEUES_MAX => {
            Err(Error::usage(format!("queues_max is {count}: it must be at most {QUEUES_MAX}")))
        }
        _ => Ok(()),
    }
}

fn check_sizes(limits: &LimitsConfig) -> Result<()> {
    let (payload, message) = (limits.payload_bytes_max, limits.message_bytes_max);
    if payload.saturating_add(ENVELOPE_BYTES) <= message {
        return Ok(());
    }
    let [payload, message, envelope] = [payload, message, ENVELOPE_BYTES].map(text::bytes);
    Err(Error::usage(format!(
        "payload_bytes_max is {payload}: it must be at least {envelope} below message_bytes_max, which is {message}"
    )))
}

fn check_connections(limits: &LimitsConfig) -> Result<()> {
    let message_bytes_max = limits.message_bytes_max;
    let (connection_bytes_max, connections_bytes_max) =
        (limits.connection_bytes(), limits.connections_bytes());
    if connection_bytes_max < message_bytes_max {
        let [bytes, least] = [connection_bytes_max, message_bytes_max].map(text::bytes);
        return Err(Error::usage(format!(
            "connection_bytes_max is {bytes}: it must be at least message_bytes_max, which is {least}"
        )));
    }
    if connections_bytes_max < connection_bytes_max {
        let [bytes, least] = [connections_bytes_max, connection_bytes_max].map(text::bytes);
        return Err(Error::usage(format!(
            "connections_bytes_max is {bytes}: it must be at least connection_bytes_max, which is {least}"
        )));
    }
    Ok(())
}

/// Checks the value from a configuration file; a flag has a range.
fn check_garbage(percent: u8) -> Result<()> {
    match percent {
        0..=100 => Ok(()),
        _ => Err(Error::usage(format!("compaction_garbage is {percent}: it is a percentage, at most 100"))),
    }
}

fn check_spans(worker: &WorkerConfig) -> Result<()> {
    let WorkerConfig { lease, ping_interval, accept_timeout, reconnect_grace } = *worker;
    let spans = [
        ("lease", lease),
        ("ping_interval", ping_interval),
        ("accept_timeout", accept_timeout),
        ("reconnect_grace", reconnect_grace),
    ];
    if let Some((name, _)) = spans.into_iter().find(|(_, span)| span.is_zero()) {
        return Err(Error::usage(format!("worker.{name} is 0: it must be more than 0, such as 5s")));
    }
    if lease < ping_interval {
        let (lease, ping_interval) = (text::duration(lease), text::duration(ping_interval));
        let text = format!(
            "worker.lease is {lease}, but heartbeats come every worker.ping_interval, {ping_interval}: \
             a lease must last as long, better three times as long"
        );
        return Err(Error::usage(text));
    }
    if reconnect_grace > lease {
        let (lease, grace) = (text::duration(lease), text::duration(reconnect_grace));
        let text = format!(
            "worker.reconnect_grace is {grace}, but a lease ends after worker.lease, {lease}: \
             it can only be shorter"
        );
        return Err(Error::usage(text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(toml: &str) -> String {
        let config: ServerConfig = toml::from_str(toml).expect("TOML");
        config.check().expect_err(toml).message
    }

    #[test]
    fn the_defaults_hold() {
        assert!(ServerConfig::default().check().is_ok());
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_certificate_needs_its_key_and_the_reverse() {
        for (toml, expected) in [
            ("cert = 'a'", "tls.cert is set without tls.key"),
            ("key = 'a'", "tls.key is set without tls.cert"),
            ("client_ca = 'a'", "TLS needs --tls-cert and --tls-key"),
            ("cert = 'a'\nkey = 'b'\nclient_auth = 'optional'", "without tls.client_ca"),
            ("cert = 'a'\nkey = 'b'\npoll_interval = '0s'", "tls.poll_interval is 0"),
        ] {
            let message = refused(&format!("[tls]\n{toml}"));
            assert!(message.contains(expected), "{message}");
        }
        let both: ServerConfig = toml::from_str("[tls]\ncert = 'a'\nkey = 'b'").expect("TOML");
        assert!(both.check().is_ok());
    }

    #[test]
    fn queues_have_a_largest_bound() {
        let message = refused("[limits]\nqueues_max = 50_001");
        assert_eq!(message, "queues_max is 50001: it must be at most 50000");
    }

    #[test]
    fn a_bound_needs_a_directory() {
        assert!(refused("data_bytes_max = '1GiB'").contains("no data directory"));
        let bounded: ServerConfig = toml::from_str("data = 'jobs'\ndata_bytes_max = '1GiB'").expect("TOML");
        assert!(bounded.check().is_ok());
    }

    #[test]
    fn a_bound_of_the_data_that_the_log_refuses_is_found_by_the_check() {
        let bound = |limits: &str| refused(&format!("data = 'jobs'\ndata_bytes_max = '1MiB'\n{limits}"));
        let least = "data_bytes_max is 1 MiB: it must be at least 136 MiB with segments of 20 MiB";
        assert_eq!(bound(""), least);
        let least = "data_bytes_max is 1 MiB: it must be at least 22 MiB with segments of 1 MiB";
        assert_eq!(bound("[limits]\nsegment_bytes = '1MiB'"), least);
        for wrong in ["5000", "'4KiB'", "'2GiB'"] {
            let message = refused(&format!("[limits]\nsegment_bytes = {wrong}"));
            assert!(message.ends_with("must be a multiple of 4 KiB from 8 KiB to 1 GiB"), "{message}");
        }
    }

    #[test]
    fn a_payload_must_fit_a_message() {
        let message = refused("[limits]\npayload_bytes_max = '4MiB'");
        let expected =
            "payload_bytes_max is 4 MiB: it must be at least 64 KiB below message_bytes_max, which is 4 MiB";
        assert_eq!(message, expected);
    }

    #[test]
    fn at_most_all_of_a_log_is_garbage() {
        let message = refused("[limits]\ncompaction_garbage = 101");
        assert_eq!(message, "compaction_garbage is 101: it is a percentage, at most 100");
        let all: ServerConfig = toml::from_str("[limits]\ncompaction_garbage = 100").expect("TOML");
        assert!(all.check().is_ok());
    }

    #[test]
    fn the_former_keys_of_compaction_are_accepted() {
        let former = "[limits]\ncheckpoint_bytes = '1MiB'\ncheckpoint_waste = 7";
        let config: ServerConfig = toml::from_str(former).expect("TOML");
        assert_eq!((config.limits.compaction_bytes, config.limits.compaction_garbage), (1 << 20, 7));
    }

    #[test]
    fn a_lease_outlasts_its_heartbeats_and_the_grace() {
        for (toml, expected) in [
            (
                "[worker]\nlease = '9s'",
                "worker.lease is 9s, but heartbeats come every worker.ping_interval, 10s",
            ),
            ("[worker]\nping_interval = '31s'", "worker.lease is 30s"),
            ("[worker]\nreconnect_grace = '31s'", "worker.reconnect_grace is 31s, but a lease ends after"),
        ] {
            let message = refused(toml);
            assert!(message.contains(expected), "{message}");
        }
        let equal: ServerConfig =
            toml::from_str("[worker]\nlease = '5s'\nping_interval = '5s'\nreconnect_grace = '5s'")
                .expect("TOML");
        assert!(equal.check().is_ok());
    }

    #[test]
    fn no_span_of_a_worker_is_zero() {
        for name in ["lease", "ping_interval", "accept_timeout", "reconnect_grace"] {
            let message = refused(&format!("[worker]\n{name} = '0s'"));
            assert_eq!(message, format!("worker.{name} is 0: it must be more than 0, such as 5s"));
        }
    }
}
