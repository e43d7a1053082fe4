//! Builds the environment of a program from the spec and the attempt. Does not read the environment of this process.

use std::collections::{BTreeMap, HashSet};

use super::spec::CommandSpec;
use crate::job::TraceContext;

/// The variable that carries this header: `trace-id` becomes `JOBSTREAM_HEADER_TRACE_ID`.
///
/// ASCII letters become upper case, digits stay, and every other character becomes an underscore. Every header name is
/// valid, and none can shadow a variable without the prefix.
pub fn header_env_name(header: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    "JOBSTREAM_HEADER_".chars().chain(header.chars().map(safe)).collect()
}

/// The environment variables for these headers. If two headers map to one variable, the first one is used.
pub fn header_env<N, V>(headers: impl IntoIterator<Item = (N, V)>) -> Vec<(String, String)>
where
    N: AsRef<str>,
    V: Into<String>,
{
    let mut used = HashSet::new();
    let named = headers.into_iter().map(|(name, value)| (header_env_name(name.as_ref()), value.into()));
    named.filter(|(name, _)| used.insert(name.clone())).collect()
}

/// The environment variables with the trace context of a job: TRACEPARENT, TRACESTATE and BAGGAGE, each if it is set.
pub fn trace_env(context: Option<&TraceContext>) -> impl Iterator<Item = (String, String)> {
    let headers = context.into_iter().flat_map(TraceContext::headers);
    headers.map(|(name, value)| (name.to_ascii_uppercase(), value))
}

/// The environment of the program: the allowed inherited variables, then the spec's, then the attempt's. Later ones
/// override earlier ones.
///
/// # Errors
///
/// A message if a name or value is not valid in an environment.
pub(super) fn environment(
    spec: &CommandSpec,
    attempt: &[(String, String)],
) -> Result<BTreeMap<String, String>, String> {
    let allowed = spec.inherited_env.iter().filter(|(name, _)| spec.env_allowlist.contains(name));
    let mut environment = BTreeMap::new();
    for (name, value) in allowed.chain(&spec.env).chain(attempt) {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(format!(
                "environment name {name:?} cannot be passed: use letters, digits and underscores"
            ));
        }
        if value.contains('\0') {
            return Err(format!(
                "environment variable {name} contains a NUL byte, which no process can receive: use the payload"
            ));
        }
        environment.insert(name.clone(), value.clone());
    }
    Ok(environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn header_names_become_safe_variables() {
        assert_eq!(header_env_name("trace-id.2"), "JOBSTREAM_HEADER_TRACE_ID_2");
        assert_eq!(header_env_name("a=b\0é$(x)"), "JOBSTREAM_HEADER_A_B____X_");
    }

    #[test]
    fn first_of_two_headers_with_one_variable_is_used() {
        let pairs = header_env([("a-b", "first"), ("a_b", "second")]);
        assert_eq!(pairs, [pair("JOBSTREAM_HEADER_A_B", "first")]);
    }

    #[test]
    fn later_sources_override_earlier_ones_and_only_allowed_names_are_inherited() {
        let mut spec = CommandSpec::new("x");
        spec.inherited_env = vec![pair("PATH", "/bin"), pair("TOKEN", "secret"), pair("LANG", "C")];
        spec.env = vec![pair("LANG", "de_DE"), pair("MODE", "spec")];
        let environment = environment(&spec, &[pair("MODE", "attempt")]).expect("valid");
        let pairs: Vec<_> = environment.into_iter().collect();
        assert_eq!(pairs, [pair("LANG", "de_DE"), pair("MODE", "attempt"), pair("PATH", "/bin")]);
    }

    #[test]
    fn invalid_names_and_values_are_rejected() {
        let spec = CommandSpec::new("x");
        for bad in [pair("", "v"), pair("A=B", "v"), pair("A", "v\0w")] {
            assert!(environment(&spec, std::slice::from_ref(&bad)).is_err(), "{bad:?}");
        }
    }
}
