//! The export of metrics over OTLP, as the standard variables of OpenTelemetry ask for it.

use jobstream::server::{MetricsExport, ServerOptions};

use crate::otel::{self, Collector, Protocol, Signal, variable};

/// Adds the export to the options of a server if the variables of this process ask for it. Problems are logged: no server
/// fails for its metrics. Needs a Tokio runtime.
pub(crate) fn add_to(options: &mut ServerOptions) {
    match export(variable) {
        Ok(export) => options.metrics_export = export,
        Err(problem) => tracing::warn!("metrics are not exported: {problem}"),
    }
}

/// The export that the variables ask for.
///
/// # Errors
///
/// What is wrong with a variable.
fn export(variable: impl Fn(&str) -> Option<String>) -> Result<Option<MetricsExport>, String> {
    let Some(Collector { url, protocol, ca, timeout, headers }) = Collector::of(Signal::Metrics, &variable)?
    else {
        return Ok(None);
    };
    let mut export = match protocol {
        Protocol::Grpc => MetricsExport::grpc(&url, ca.as_deref()),
        Protocol::HttpProtobuf => MetricsExport::http(&url, ca.as_deref()),
    }?;
    if let Some((name, pairs)) = headers {
        for (key, value) in otel::pairs_of(&name, &pairs)? {
            export = export.header(&key, &value).map_err(|problem| format!("{name}: {problem}"))?;
        }
    }
    export.interval = otel::metrics_interval(&variable)?.unwrap_or(export.interval);
    export.timeout = timeout.unwrap_or(export.timeout);
    export.resource = otel::resource(&variable);
    Ok(Some(export))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<MetricsExport>, String> {
        let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        export(|name| value(name).map(str::to_owned))
    }

    #[tokio::test]
    async fn the_variables_of_the_specification_are_known() {
        assert!(of(&[]).unwrap().is_none());
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317");
        assert!(of(&[endpoint, ("OTEL_METRICS_EXPORTER", "none")]).unwrap().is_none());
        let export = of(&[
            endpoint,
            ("OTEL_METRIC_EXPORT_INTERVAL", "5000"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a, team=b"),
            ("OTEL_SERVICE_NAME", "c"),
        ]);
        let export = export.unwrap().unwrap();
        assert_eq!((export.interval, export.timeout), (Duration::from_secs(5), Duration::from_millis(250)));
        let attributes =
            [("team", "b"), ("service.name", "c"), ("service.version", env!("CARGO_PKG_VERSION"))];
        assert_eq!(export.resource, attributes.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[tokio::test]
    async fn a_wrong_variable_is_named_and_a_secret_is_not_shown() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317");
        let problem = |more| of(&[endpoint, more]).unwrap_err();
        assert!(
            problem(("OTEL_METRIC_EXPORT_INTERVAL", "1s")).contains("OTEL_METRIC_EXPORT_INTERVAL is \"1s\"")
        );
        let secret = problem(("OTEL_EXPORTER_OTLP_HEADERS", "secret"));
        assert!(secret.contains("key=value") && !secret.contains("secret"), "{secret}");
        assert!(of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "no url")]).unwrap_err().contains("no url"));
    }
}
