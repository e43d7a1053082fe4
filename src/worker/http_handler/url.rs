//! The URL of an endpoint: `http` or `https`, a host, and nothing that a request would not send.

use http::Uri;

/// Parses a URL.
///
/// # Errors
///
/// A message with the URL, the reason and a remedy.
pub(crate) fn parse(text: &str) -> Result<Uri, String> {
    let fail = |problem: &str| Err(format!("{text:?}: {problem}"));
    let Some((scheme, rest)) = text.split_once("://") else {
        return fail("there is no scheme: write http://HOST:PORT/PATH");
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" => {}
        "https" if cfg!(feature = "tls") => {}
        "https" => return fail("this build has no TLS: build it with the feature tls, or use http"),
        _ => return fail("the scheme is not http or https"),
    }
    if rest.contains('#') {
        return fail("a fragment (#) is not sent to the endpoint: remove it");
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("user information before @ is not accepted: send it in a header, such as authorization"
            .to_owned());
    }
    let uri = match Uri::try_from(text) {
        Ok(uri) => uri,
        Err(error) => return fail(&error.to_string()),
    };
    match uri.host() {
        None | Some("") => fail("there is no host"),
        Some(host) if !is_port(authority.strip_prefix(host).unwrap_or_default()) => {
            fail("the port is not a number from 1 to 65535")
        }
        Some(_) => Ok(uri),
    }
}

/// Whether the text after the host is empty or a port.
fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        None => text.is_empty(),
        Some(port) => port.parse::<u16>().is_ok_and(|port| port > 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_urls_with_a_host_are_accepted() {
        for url in ["http://127.0.0.1:9000/resize", "HTTP://app", "http://[::1]:1/a?b=c"] {
            assert!(parse(url).is_ok(), "{url}");
        }
        assert_eq!(parse("https://app.example/").is_ok(), cfg!(feature = "tls"));
    }

    #[test]
    fn other_urls_are_refused_with_the_reason() {
        for (url, expected) in [
            ("127.0.0.1:9000/resize", "no scheme"),
            ("ftp://host/", "not http or https"),
            ("unix:///run/app.sock", "not http or https"),
            ("http://host/a#b", "fragment"),
            ("http:///path", ""),
            ("http://a b/", "invalid"),
            ("http://host:port/", "port is not a number"),
            ("http://host:70000/", "port is not a number"),
            ("http://:80/", ""),
        ] {
            let message = parse(url).expect_err(url);
            assert!(message.contains(expected) && message.contains(url), "{message}");
        }
    }

    #[test]
    fn user_information_is_refused_and_not_repeated() {
        let message = parse("http://user:pa55@host/").expect_err("user information");
        assert!(message.contains("user information") && !message.contains("pa55"), "{message}");
    }
}
