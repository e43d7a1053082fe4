//! SIGHUP of a server with a config file.

use http::Method;
use serde_json::json;

use super::tokens::Tokens;
use crate::support::{Http, Served};

/// A config with these tokens, this level of the log, and more keys of `[auth]`.
fn config(tokens: &Tokens, level: &str, more: &str) -> String {
    let path = tokens.path();
    format!("listen = '127.0.0.1:0'\n[log]\nlevel = '{level}'\n[auth]\ntokens_file = {path:?}\n{more}")
}

#[tokio::test]
async fn sighup_applies_what_a_running_server_can_change_of_its_config() {
    let mut tokens = Tokens::new();
    let token = tokens.add("billing", &["all"], "");
    let mut server = Served::start(&config(&tokens, "info", "")).await;
    let http = Http::new(server.address, false);
    let anonymous = "allow_anonymous = true\nanonymous_grants = ['list']\n";
    let debug = config(&tokens, "debug", &format!("{anonymous}[limits]\njobs_max = 5"));
    let changed = server.reload(&debug).await;
    let expected =
        "reloaded: auth.allow_anonymous, auth.anonymous_grants, log.level, added anonymous callers";
    assert!(changed.ends_with(expected), "{changed}");
    assert_eq!(http.send(Method::GET, "/v1/jobs", &[], "").await.status, 200);
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", &*authorization), ("content-type", "application/json")];
    let answer = http.send(Method::POST, "/v1/server/log-level", &headers, r#"{"level": "error"}"#).await;
    assert_eq!(answer.json(), json!({"previousLevel": "debug", "level": "error"}));
    let reset = server.reload_files().await;
    assert!(reset.ends_with("reloaded: log.level"), "{reset}");
    let same = server.reload_files().await;
    assert!(same.ends_with("SIGHUP: nothing has changed"), "{same}");
}

#[tokio::test]
async fn a_reload_that_lowers_the_level_of_the_log_is_reported() {
    let mut server = Served::start("listen = '127.0.0.1:0'").await;
    let lowered = server.reload("listen = '127.0.0.1:0'\n[log]\nlevel = 'warn'").await;
    assert!(lowered.ends_with("reloaded: log.level"), "{lowered}");
    let raised = server.reload("listen = '127.0.0.1:0'").await;
    assert!(raised.ends_with("reloaded: log.level"), "{raised}");
}

#[tokio::test]
async fn a_change_that_needs_a_restart_is_named() {
    let mut server = Served::start("listen = '127.0.0.1:0'").await;
    let config =
        "listen = '127.0.0.1:0'\n[log]\nlevel = 'debug'\n[auth]\ntokens_file = 'x'\n[limits]\njobs_max = 5";
    std::fs::write(server.config(), config).expect("a file");
    server.process.signal(rustix::process::Signal::HUP);
    let restart = server.process.wait_for_line("need a restart").await;
    assert!(restart.ends_with(": auth.tokens_file, limits.jobs_max"), "{restart}");
    server.process.wait_for_line("reloaded: log.level").await;
}

#[tokio::test]
async fn an_invalid_config_changes_nothing_and_its_field_is_named() {
    let mut tokens = Tokens::new();
    let former = tokens.add("billing", &["all"], "");
    let mut server = Served::start(&config(&tokens, "info", "")).await;
    let http = Http::new(server.address, false);
    let added = tokens.add("ops", &["all"], "");
    for (level, more, named) in [
        ("info", "unknown = 1", "unknown key \"unknown\""),
        ("info", "[auth.jwt]\nissuer = 'x'", "without auth.jwt.audience"),
        ("in=fo=", "", "log.level: "),
        (
            "info",
            "[auth.jwt]\nissuer = 'x'\naudience = 'y'\njwks = '/no/keys'\ngrants = ['all']",
            "auth.jwt.jwks: cannot read /no/keys",
        ),
        (
            "info",
            "[auth.jwt]\nissuer = 'x'\naudience = 'y'\njwks = 'http://127.0.0.1:1/'\ngrants = ['all']",
            "auth.jwt.jwks: ",
        ),
        ("debug", "token_key_file = '/no/key'", "/no/key: cannot be read"),
        ("info", "[limits]\nqueues_max = 50_001", "queues_max is 50001"),
    ] {
        let refused = server.reload(&config(&tokens, level, more)).await;
        assert!(refused.contains("ERROR") && refused.contains("former config and files"), "{refused}");
        assert!(refused.contains(named), "{refused}");
        for (token, status) in [(&former, 200), (&added, 401)] {
            let authorization = format!("Bearer {token}");
            let headers = [("authorization", &*authorization)];
            let answer = http.send(Method::GET, "/v1/server", &headers, "").await;
            assert_eq!(answer.status, status, "{named}");
        }
    }
    let applied = server.reload(&config(&tokens, "info", "")).await;
    assert!(applied.ends_with("reloaded: added ops"), "{applied}");
}

#[tokio::test]
async fn a_tokens_file_without_a_token_changes_nothing() {
    let mut tokens = Tokens::new();
    let token = tokens.add("billing", &["all"], "");
    let mut server = Served::start(&config(&tokens, "info", "")).await;
    let http = Http::new(server.address, false);
    let authorization = format!("Bearer {token}");
    for text in ["", "# the tokens of this server\n"] {
        std::fs::write(tokens.path(), text).expect("a file");
        let refused = server.reload_files().await;
        let expected = format!("{} has no token: add one with `jobstream token new", tokens.path());
        assert!(refused.contains(&expected) && refused.contains("former config and files"), "{refused}");
        let answer = http.send(Method::GET, "/v1/jobs", &[("authorization", &authorization)], "").await;
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn a_server_that_others_reach_does_not_lose_its_credentials() {
    let mut tokens = Tokens::new();
    tokens.add("billing", &["all"], "");
    let path = tokens.path();
    let listen = "listen = '0.0.0.0:0'";
    let mut server = Served::start(&format!("{listen}\n[auth]\ntokens_file = {path:?}")).await;
    // The address in the config is not the one that it listens on.
    let refused = server.reload("listen = '127.0.0.1:0'").await;
    assert!(refused.contains("other machines need a credential"), "{refused}");
    let answer = Http::new(server.address, false).send(Method::GET, "/v1/jobs", &[], "").await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn a_reload_opens_a_server_only_if_the_config_says_so() {
    let mut tokens = Tokens::new();
    tokens.add("billing", &["all"], "");
    let mut server = Served::start(&config(&tokens, "info", "")).await;
    let http = Http::new(server.address, false);
    for without in ["", "listen = '127.0.0.1:0'\n[auth]"] {
        let refused = server.reload(without).await;
        assert!(
            refused.contains("set auth.allow_anonymous") && refused.contains("former config"),
            "{refused}"
        );
        assert_eq!(http.send(Method::GET, "/v1/jobs", &[], "").await.status, 401);
    }
    let opened = server.reload("listen = '127.0.0.1:0'\n[auth]\nallow_anonymous = true").await;
    assert!(opened.contains("removed billing") && opened.contains("added anonymous callers"), "{opened}");
    assert_eq!(http.send(Method::GET, "/v1/jobs", &[], "").await.status, 200);
}
