//! The standard variables of OpenTelemetry, as far as its SDK does not read them for us.

#[cfg(feature = "otel")]
use std::time::Duration;

#[cfg(feature = "otel")]
use jobstream::client::Sampling;

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

/// The sampling of `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`, and what is wrong with them: then the default is used.
#[cfg(feature = "otel")]
pub(crate) fn sampling(variable: impl Fn(&str) -> Option<String>) -> (Sampling, Option<String>) {
    let Some(sampler) = variable("OTEL_TRACES_SAMPLER") else { return (Sampling::default(), None) };
    let text = variable("OTEL_TRACES_SAMPLER_ARG");
    let ratio = || match &text {
        None => Ok(1.0),
        Some(text) => text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).ok_or_else(|| {
            format!("OTEL_TRACES_SAMPLER_ARG is {text:?}: allowed is 0 to 1; every trace is sampled")
        }),
    };
    let sampling = |parent_based, ratio: Result<f64, String>| match ratio {
        Ok(ratio) => (Sampling { parent_based, ratio }, None),
        Err(problem) => (Sampling { parent_based, ratio: 1.0 }, Some(problem)),
    };
    match sampler.as_str() {
        "always_on" => sampling(false, Ok(1.0)),
        "always_off" => sampling(false, Ok(0.0)),
        "traceidratio" => sampling(false, ratio()),
        "parentbased_always_on" => sampling(true, Ok(1.0)),
        "parentbased_always_off" => sampling(true, Ok(0.0)),
        "parentbased_traceidratio" => sampling(true, ratio()),
        _ => {
            let problem = format!(
                "OTEL_TRACES_SAMPLER is {sampler:?}: allowed are always_on, always_off, traceidratio and these after \
                 parentbased_; parentbased_always_on is used"
            );
            (Sampling::default(), Some(problem))
        }
    }
}

/// Whether `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` name the service.
#[cfg(feature = "otel")]
pub(crate) fn names_service(variable: impl Fn(&str) -> Option<String>) -> bool {
    let attributes = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    variable("OTEL_SERVICE_NAME").is_some()
        || attributes.split(',').any(|pair| pair.trim_start().starts_with("service.name="))
}

/// The attributes of the resource in `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`. A later one overrides an earlier one
/// of the same key.
///
/// # Errors
///
/// If the former is malformed.
#[cfg(feature = "otel")]
pub(crate) fn resource(variable: impl Fn(&str) -> Option<String>) -> Result<Vec<(String, String)>, String> {
    let attributes = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let mut attributes = pairs_of("OTEL_RESOURCE_ATTRIBUTES", &attributes)?;
    attributes.extend(variable("OTEL_SERVICE_NAME").map(|name| ("service.name".to_owned(), name)));
    Ok(attributes)
}

/// The interval of the export of metrics, if it is set.
///
/// # Errors
///
/// If it is no number of milliseconds.
#[cfg(feature = "otel")]
pub(crate) fn metrics_interval(
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Duration>, String> {
    const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";
    variable(INTERVAL).map(|text| millis_of(INTERVAL, &text)).transpose()
}

/// Reads `key=value,key=value`.
#[cfg(feature = "otel")]
pub(crate) fn pairs_of(name: &str, text: &str) -> Result<Vec<(String, String)>, String> {
    let pair = |text: &str| match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        // The text may be a secret.
        _ => Err(format!("{name}: write it as key=value,key=value")),
    };
    text.split(',').filter(|text| !text.trim().is_empty()).map(pair).collect()
}

/// Reads milliseconds.
#[cfg(feature = "otel")]
fn millis_of(name: &str, text: &str) -> Result<Duration, String> {
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

    fn sampled(sampler: &str, argument: &str) -> (bool, f64, bool) {
        let (sampling, problem) = sampling(|name| match name {
            "OTEL_TRACES_SAMPLER" => Some(sampler.to_owned()),
            _ => Some(argument.to_owned()).filter(|argument| !argument.is_empty()),
        });
        (sampling.parent_based, sampling.ratio, problem.is_some())
    }

    #[test]
    fn the_samplers_of_the_specification_are_known() {
        assert_eq!(sampling(|_| None), (Sampling::default(), None));
        assert_eq!(sampled("always_off", ""), (false, 0.0, false));
        assert_eq!(sampled("traceidratio", "0.25"), (false, 0.25, false));
        assert_eq!(sampled("parentbased_traceidratio", ""), (true, 1.0, false));
        assert_eq!(sampled("parentbased_traceidratio", "2"), (true, 1.0, true));
        assert_eq!(sampled("xray", ""), (true, 1.0, true));
    }

    #[test]
    fn the_service_is_named_by_either_variable() {
        let attributes =
            |name: &str| (name == "OTEL_RESOURCE_ATTRIBUTES").then(|| "a=b, service.name=x".to_owned());
        assert!(names_service(attributes) && !names_service(|_| None));
    }
}
