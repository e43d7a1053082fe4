//! The standard variables of OpenTelemetry, as far as its SDK does not read them for us.

#[cfg(feature = "otel")]
use std::borrow::Cow;
#[cfg(feature = "otel")]
use std::time::Duration;

#[cfg(feature = "otel")]
use jobstream::client::Sampling;
#[cfg(feature = "otel")]
use percent_encoding::percent_decode_str;

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

/// The attributes of this process: those of `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`, and its version. Without a name
/// in them, the service is `jobstream`. The former is ignored if it is malformed, which is logged.
#[cfg(feature = "otel")]
pub(crate) fn resource(variable: impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
    const NAME: &str = "service.name";
    let given = pairs_of(ATTRIBUTES, &variable(ATTRIBUTES).unwrap_or_default());
    let given = given.unwrap_or_else(|problem| {
        tracing::warn!("{problem}; it is ignored");
        Vec::new()
    });
    let name = variable("OTEL_SERVICE_NAME").map(|name| (NAME.to_owned(), name));
    let version = ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    let mut attributes = vec![(NAME.to_owned(), "jobstream".to_owned())];
    for (key, value) in given.into_iter().chain(name).chain([version]) {
        attributes.retain(|(earlier, _)| *earlier != key);
        attributes.push((key, value));
    }
    attributes
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

/// Reads `key=value,key=value`, where `%20` is a space.
#[cfg(feature = "otel")]
pub(crate) fn pairs_of(name: &str, text: &str) -> Result<Vec<(String, String)>, String> {
    let decoded = |text: &str| percent_decode_str(text.trim()).decode_utf8().ok().map(Cow::into_owned);
    let pair = |text: &str| {
        let (key, value) = text.split_once('=').filter(|(key, _)| !key.trim().is_empty())?;
        Some((decoded(key)?, decoded(value)?))
    };
    let pairs = text.split(',').filter(|text| !text.trim().is_empty()).map(pair);
    // The text may be a secret.
    pairs.collect::<Option<_>>().ok_or_else(|| format!("{name}: write it as key=value,key=value in UTF-8"))
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
    fn the_attributes_are_those_of_the_variables_and_decoded() {
        let of = |variables: &[(&str, &str)]| {
            let value = |name: &str| variables.iter().find(|(known, _)| *known == name);
            resource(|name| value(name).map(|(_, value)| (*value).to_owned()))
        };
        let version = ("service.version", env!("CARGO_PKG_VERSION"));
        let owned = |pairs: &[(&str, &str)]| -> Vec<_> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let default = owned(&[("service.name", "jobstream"), version]);
        assert_eq!(of(&[]), default);
        assert_eq!(of(&[("OTEL_RESOURCE_ATTRIBUTES", "malformed")]), default);
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a, team=b%2Cc%20d");
        assert_eq!(of(&[attributes]), owned(&[("service.name", "a"), ("team", "b,c d"), version]));
        let named = of(&[attributes, ("OTEL_SERVICE_NAME", "e")]);
        assert_eq!(named, owned(&[("team", "b,c d"), ("service.name", "e"), version]));
    }

    #[test]
    fn a_header_may_have_encoded_characters() {
        let pairs = pairs_of("HEADERS", "authorization=Basic%20QWxh=, x-share=100%").unwrap();
        let expected = [("authorization", "Basic QWxh="), ("x-share", "100%")];
        assert_eq!(pairs, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert!(pairs_of("HEADERS", "x=%FF").is_err() && pairs_of("HEADERS", "secret").is_err());
    }
}
