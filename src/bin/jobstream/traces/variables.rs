//! The variables of OpenTelemetry that the SDK does not read for us.

use jobstream::client::Sampling;

/// The sampling of `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`, and what is wrong with them: then the default is used.
pub(super) fn sampling(variable: impl Fn(&str) -> Option<String>) -> (Sampling, Option<String>) {
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
pub(super) fn names_service(variable: impl Fn(&str) -> Option<String>) -> bool {
    let attributes = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    variable("OTEL_SERVICE_NAME").is_some()
        || attributes.split(',').any(|pair| pair.trim_start().starts_with("service.name="))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sampler: &str, argument: &str) -> (bool, f64, bool) {
        let (sampling, problem) = sampling(|name| match name {
            "OTEL_TRACES_SAMPLER" => Some(sampler.to_owned()),
            _ => Some(argument.to_owned()).filter(|argument| !argument.is_empty()),
        });
        (sampling.parent_based, sampling.ratio, problem.is_some())
    }

    #[test]
    fn the_samplers_of_the_specification_are_known() {
        assert_eq!(sampling(|_| None), (Sampling::default(), None));
        assert_eq!(of("always_off", ""), (false, 0.0, false));
        assert_eq!(of("traceidratio", "0.25"), (false, 0.25, false));
        assert_eq!(of("parentbased_traceidratio", ""), (true, 1.0, false));
        assert_eq!(of("parentbased_traceidratio", "2"), (true, 1.0, true));
        assert_eq!(of("xray", ""), (true, 1.0, true));
    }

    #[test]
    fn the_service_is_named_by_either_variable() {
        let attributes =
            |name: &str| (name == "OTEL_RESOURCE_ATTRIBUTES").then(|| "a=b, service.name=x".to_owned());
        assert!(names_service(attributes) && !names_service(|_| None));
    }
}
