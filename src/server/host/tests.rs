//! Hosts and origins that a policy accepts or refuses.

use super::*;

fn policy(listener: &str, allowed_hosts: &[&str], cors_origins: &[&str]) -> HostPolicy {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    HostPolicy::new(&[listener.parse().expect("an address")], &texts(allowed_hosts), &texts(cors_origins))
        .expect("good options")
}

fn accepts(policy: &HostPolicy, host: &str, local: &str) -> bool {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, host.parse().expect("a header value"));
    policy.check(&Uri::from_static("/"), &headers, local.parse().expect("an address")).is_ok()
}

#[test]
fn a_listener_accepts_its_own_address() {
    let loopback = policy("127.0.0.1:7070", &[], &[]);
    for own in ["127.0.0.1:7070", "127.0.0.1", "localhost:7070", "LOCALHOST.", "127.9.9.9:1", "[::1]:7070"] {
        assert!(accepts(&loopback, own, "127.0.0.1"), "{own}");
    }
    for foreign in ["evil.example", "evil.example:7070", "10.0.0.1:7070", "localhost.evil.example", "", "a b"]
    {
        assert!(!accepts(&loopback, foreign, "127.0.0.1"), "{foreign}");
    }
    let one = policy("10.0.0.1:7070", &[], &[]);
    assert!(accepts(&one, "10.0.0.1:7070", "10.0.0.1"));
    assert!(accepts(&one, "10.0.0.1:8080", "10.0.0.1"), "a forwarded port");
    for foreign in ["localhost:7070", "127.0.0.1:7070", "10.0.0.2:7070"] {
        assert!(!accepts(&one, foreign, "10.0.0.1"), "{foreign}");
    }
}

#[test]
fn a_listener_on_all_addresses_accepts_any_address_and_no_name() {
    for listener in ["0.0.0.0:7070", "[::]:7070"] {
        let all = policy(listener, &[], &[]);
        for own in ["10.0.0.1:7070", "192.0.2.1", "[2001:db8::1]:7070", "127.0.0.1:7070"] {
            assert!(accepts(&all, own, "10.0.0.1"), "{own}");
        }
        assert!(accepts(&all, "localhost:7070", "127.0.0.1"));
        assert!(accepts(&all, "localhost:7070", "::ffff:127.0.0.1"));
        assert!(!accepts(&all, "localhost:7070", "10.0.0.1"), "localhost on another interface");
        assert!(!accepts(&all, "server:7070", "10.0.0.1"));
    }
}

#[test]
fn an_allowed_host_without_a_port_matches_every_port() {
    let named = policy("0.0.0.0:7070", &["server", "jobs.example:443"], &[]);
    for allowed in ["server:7070", "server", "Server:1", "jobs.example:443"] {
        assert!(accepts(&named, allowed, "10.0.0.1"), "{allowed}");
    }
    for foreign in ["jobs.example", "jobs.example:80", "a.server", "evil.example"] {
        assert!(!accepts(&named, foreign, "10.0.0.1"), "{foreign}");
    }
    assert!(accepts(&policy("127.0.0.1:7070", &["*"], &[]), "evil.example", "127.0.0.1"));
}

#[test]
fn a_malformed_allowed_host_is_refused_with_the_right_form() {
    for wrong in ["http://jobs.example", "*.example", "jobs.example/", "a:b", ""] {
        let listener = "127.0.0.1:0".parse().expect("an address");
        let error = HostPolicy::new(&[listener], &[wrong.to_owned()], &[]).expect_err(wrong);
        assert!(error.to_string().contains("write host or host:port"), "{error}");
    }
}

#[test]
fn every_host_header_is_checked_unless_the_uri_has_an_authority() {
    let (loopback, mut headers) = (policy("127.0.0.1:7070", &[], &[]), HeaderMap::new());
    let local = "127.0.0.1".parse().expect("an address");
    assert!(loopback.check(&Uri::from_static("/"), &headers, local).is_ok(), "no host header");
    headers.append(HOST, HeaderValue::from_static("localhost"));
    headers.append(HOST, HeaderValue::from_static("evil.example"));
    assert!(loopback.check(&Uri::from_static("/"), &headers, local).is_err());
    assert!(loopback.check(&Uri::from_static("http://evil.example/"), &HeaderMap::new(), local).is_err());
    assert!(loopback.check(&Uri::from_static("http://localhost:1/"), &HeaderMap::new(), local).is_ok());
}

#[test]
fn a_page_may_call_its_own_host_and_hosts_that_allow_its_origin() {
    let policy = policy("127.0.0.1:7070", &["jobs.example"], &["https://app.example"]);
    let check = |origin: &str, host: Option<&str>| {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, origin.parse().expect("a header value"));
        host.map(|host| headers.insert(HOST, host.parse().expect("a header value")));
        policy.check(&Uri::from_static("/"), &headers, "127.0.0.1".parse().expect("an address"))
    };
    assert!(check("http://127.0.0.1:7070", Some("127.0.0.1:7070")).is_ok());
    assert!(check("https://jobs.example", Some("jobs.example")).is_ok(), "TLS ends at a proxy");
    assert!(check("https://app.example", Some("localhost:7070")).is_ok());
    assert!(check("https://app.example", None).is_ok());
    for origin in ["http://localhost:3000", "http://evil.example", "null", "https://app.example.evil.example"]
    {
        let error = check(origin, Some("localhost:7070")).expect_err(origin);
        assert!(error.message().contains(&format!("--cors-origin {origin}")), "{error}");
    }
    assert!(check("http://localhost", None).is_err(), "no host to compare the origin with");
    let error = check("http://evil.example:7070", Some("evil.example:7070")).expect_err("rebound");
    assert!(matches!(error.kind(), ErrorKind::HostNotAllowed { .. }), "{error}");
}
