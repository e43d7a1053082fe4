//! The standard variables of OpenTelemetry that traces and metrics share.

#[cfg(feature = "otel")]
use std::time::Duration;

/// What is exported.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    Traces,
    #[cfg_attr(not(feature = "otel"), expect(dead_code))]
    Metrics,
}

/// The value of a variable of this process; `None` if it is empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Signal {
    /// The part of the names of its variables.
    fn name(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
        }
    }

    /// The variable with this setting of the exporter and its value: the variable of the signal, else that of all signals.
    fn setting(self, setting: &str, variable: impl Fn(&str) -> Option<String>) -> Option<(String, String)> {
        let of_signal = format!("OTEL_EXPORTER_OTLP_{}_{setting}", self.name());
        let names = [of_signal, format!("OTEL_EXPORTER_OTLP_{setting}")];
        names.into_iter().find_map(|name| variable(&name).map(|value| (name, value)))
    }

    /// The variable with the address of the collector and its value; `None` if the signal is not exported.
    pub(crate) fn endpoint(self, variable: impl Fn(&str) -> Option<String>) -> Option<(String, String)> {
        let exporter = format!("OTEL_{}_EXPORTER", self.name());
        let is_off = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || variable(&exporter).is_some_and(|value| value == "none");
        self.setting("ENDPOINT", variable).filter(|_| !is_off)
    }
}

/// How an exporter talks to its collector.
#[cfg(feature = "otel")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    HttpProtobuf,
}

/// The collector of a signal.
#[cfg(feature = "otel")]
#[derive(Debug)]
pub(crate) struct Collector {
    /// The URL of the signal.
    pub(crate) url: String,
    pub(crate) protocol: Protocol,
    /// The certificate authorities (PEM) that verify it, instead of those of the system.
    pub(crate) ca: Option<Vec<u8>>,
    /// Longest time of an export, if it is set.
    pub(crate) timeout: Option<Duration>,
    /// The variable with the headers of requests and its value.
    pub(crate) headers: Option<(String, String)>,
}

#[cfg(feature = "otel")]
impl Collector {
    /// The collector that the variables name; `None` if the signal is not exported.
    ///
    /// # Errors
    ///
    /// What is wrong with a variable.
    pub(crate) fn of(
        signal: Signal,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        let Some((name, url)) = signal.endpoint(&variable) else { return Ok(None) };
        let protocol = match signal.setting("PROTOCOL", &variable) {
            None => Protocol::Grpc,
            Some((_, protocol)) if protocol == "grpc" => Protocol::Grpc,
            Some((_, protocol)) if protocol == "http/protobuf" => Protocol::HttpProtobuf,
            Some((name, other)) => {
                tracing::warn!("{name} is {other:?}: allowed are grpc and http/protobuf; grpc is used");
                Protocol::Grpc
            }
        };
        let is_of_signal = name.contains(signal.name());
        let url = match protocol {
            // The URL of all signals is the one before their paths.
            Protocol::HttpProtobuf if !is_of_signal => {
                format!("{}/v1/{}", url.trim_end_matches('/'), signal.name().to_ascii_lowercase())
            }
            _ => url,
        };
        let read = |(name, path): (String, String)| {
            std::fs::read(&path).map_err(|error| format!("{name}: {path} cannot be read: {error}"))
        };
        let ca = signal.setting("CERTIFICATE", &variable).map(read).transpose()?;
        let timeout = signal.setting("TIMEOUT", &variable);
        let timeout = timeout.map(|(name, text)| millis_of(&name, &text)).transpose()?;
        Ok(Some(Self { url, protocol, ca, timeout, headers: signal.setting("HEADERS", &variable) }))
    }
}

/// Reads milliseconds.
#[cfg(feature = "otel")]
pub(crate) fn millis_of(name: &str, text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(millis @ 1..) => Ok(Duration::from_millis(millis)),
        _ => Err(format!("{name} is {text:?}: write a number of milliseconds above 0")),
    }
}

#[cfg(all(test, feature = "otel"))]
mod tests {
    use super::*;

    fn of(signal: Signal, variables: &[(&str, &str)]) -> Result<Option<Collector>, String> {
        let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        Collector::of(signal, |name| value(name).map(str::to_owned))
    }

    #[test]
    fn the_variables_of_a_signal_come_before_those_of_all() {
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318/");
        let protocol = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
        let collector = of(Signal::Traces, &[all, protocol]).unwrap().unwrap();
        assert_eq!(
            (&*collector.url, collector.protocol),
            ("http://all:4318/v1/traces", Protocol::HttpProtobuf)
        );
        let own = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://own/here");
        let collector = of(Signal::Metrics, &[all, protocol, own]).unwrap().unwrap();
        assert_eq!(collector.url, "http://own/here");
        let own = ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc");
        let collector = of(Signal::Metrics, &[all, protocol, own]).unwrap().unwrap();
        assert_eq!((&*collector.url, collector.protocol), ("http://all:4318/", Protocol::Grpc));
    }

    #[test]
    fn what_is_off_or_has_no_address_is_not_exported() {
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4317");
        assert!(of(Signal::Traces, &[]).unwrap().is_none());
        assert!(of(Signal::Traces, &[all, ("OTEL_SDK_DISABLED", "TRUE")]).unwrap().is_none());
        assert!(of(Signal::Metrics, &[all, ("OTEL_METRICS_EXPORTER", "none")]).unwrap().is_none());
        assert!(of(Signal::Traces, &[all, ("OTEL_METRICS_EXPORTER", "none")]).unwrap().is_some());
    }

    #[test]
    fn a_wrong_variable_is_named() {
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4317");
        for (name, value) in
            [("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/file"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "1s")]
        {
            let problem = of(Signal::Traces, &[all, (name, value)]).unwrap_err();
            assert!(problem.contains(name) && problem.contains(value), "{problem}");
        }
    }
}
