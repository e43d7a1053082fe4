//! Configuration of the server commands: precedence and validation.

use std::fs;
use std::path::PathBuf;

use super::*;

pub(super) fn config_file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("a file");
    path
}

async fn config(command: &mut Command) -> toml::Table {
    run(command).await.exits(0).stdout.parse().expect("TOML")
}

#[tokio::test]
async fn flags_override_variables_which_override_the_file() {
    let file = config_file(
        "precedence.toml",
        "slots = 1\nlisten = '127.0.0.1:1'\ndrain_timeout = '1s'\n[limits]\nretention = '2h'\njobs_max = 1\n",
    );
    let file = file.to_str().expect("UTF-8");
    let mut command =
        jobstream(&["serve", "--config", file, "--print-config", "--slots", "3", "--jobs-max", "3"]);
    command.env("JOBSTREAM_SLOTS", "2").env("JOBSTREAM_LISTEN", "127.0.0.1:2").env("JOBSTREAM_JOBS_MAX", "2");
    let config = config(&mut command).await;
    assert_eq!(config["slots"].as_integer(), Some(3), "flag");
    assert_eq!(config["limits"]["jobs_max"].as_integer(), Some(3), "flag");
    assert_eq!(config["listen"].as_str(), Some("127.0.0.1:2"), "variable");
    assert_eq!(config["drain_timeout"].as_str(), Some("1s"), "file");
    assert_eq!(config["limits"]["retention"].as_str(), Some("2h"), "file");
    assert_eq!(config["limits"]["payload_bytes_max"].as_str(), Some("1MiB"), "default");
    assert_eq!(config["demo"].as_bool(), Some(false), "default");
}

#[tokio::test]
async fn limits_derive_from_the_memory_budget_by_default() {
    let args = ["serve", "--print-config", "--memory-max", "512MiB", "--retention-bytes-max", "3GiB"];
    let config = config(&mut jobstream(&args)).await;
    let limits = &config["limits"];
    assert_eq!(limits["memory_max"].as_str(), Some("512MiB"));
    assert_eq!(limits["job_bytes_max"].as_str(), Some("96MiB"));
    assert_eq!(limits["jobs_max"].as_integer(), Some(98_304));
    assert_eq!(limits["retention_bytes_max"].as_str(), Some("3GiB"));
    let small = ["serve", "--memory-max", "1MiB"];
    run(&mut jobstream(&small)).await.exits(2).prints(&["memory_max is 1 MiB: it must be at least 64 MiB"]);
}

#[tokio::test]
async fn a_printed_config_can_be_loaded() {
    let args = ["dev", "--print-config", "--slots", "5", "--exec", "upper=tr a-z A-Z"];
    let printed = run(&mut jobstream(&args)).await.exits(0).stdout;
    let file = config_file("again.toml", &printed);
    let file = file.to_str().expect("UTF-8");
    let again = run(&mut jobstream(&["serve", "--config", file, "--print-config"])).await.exits(0).stdout;
    assert_eq!(again, printed);
}

#[tokio::test]
async fn an_unknown_key_is_rejected_with_a_suggestion() {
    let file =
        config_file("typo.toml", "slots = 1\n[commands.resize]\nprogram = 'x'\nretry_exit_code = [1]\n");
    let file = file.to_str().expect("UTF-8");
    run(&mut jobstream(&["serve", "--config", file])).await.exits(2).prints(&[
        &format!("{file}:4: unknown key \"retry_exit_code\""),
        "did you mean \"retry_exit_codes\"?",
    ]);
}

#[tokio::test]
async fn dev_serves_the_demo_kinds_and_accepts_programs() {
    let args = ["dev", "--print-config", "--exec", "upper=tr a-z A-Z", "--listen", "127.0.0.1:0"];
    let config = config(&mut jobstream(&args)).await;
    assert_eq!(config["demo"].as_bool(), Some(true));
    assert_eq!(config["exec"][0].as_str(), Some("upper=tr a-z A-Z"));
    run(&mut jobstream(&["dev", "--exec", "upper"])).await.exits(2).prints(&["kind=program"]);
}

#[tokio::test]
async fn connection_limits_can_be_configured() {
    let file = config_file("connections.toml", "[limits]\nconnections_per_address_max = 7\n");
    let file = file.to_str().expect("UTF-8");
    let serve = ["serve", "--config", file, "--print-config", "--connection-idle-timeout", "1m"];
    let limits = config(&mut jobstream(&serve)).await["limits"].clone();
    assert_eq!(limits["connections_per_address_max"].as_integer(), Some(7), "file");
    assert_eq!(limits["connection_idle_timeout"].as_str(), Some("1m"), "flag");
    let mut by_variable = jobstream(&["serve", "--print-config"]);
    by_variable
        .env("JOBSTREAM_CONNECTIONS_PER_ADDRESS_MAX", "0")
        .env("JOBSTREAM_CONNECTION_IDLE_TIMEOUT", "2m");
    let limits = config(&mut by_variable).await["limits"].clone();
    assert_eq!(limits["connections_per_address_max"].as_integer(), Some(0), "variable");
    assert_eq!(limits["connection_idle_timeout"].as_str(), Some("2m"), "variable");
}

#[tokio::test]
async fn allowed_hosts_can_be_configured() {
    let file = config_file("hosts.toml", "allowed_hosts = ['jobs.example']\n");
    let file = file.to_str().expect("UTF-8");
    let serve = ["serve", "--config", file, "--print-config"];
    let hosts = |config: &toml::Table| config["allowed_hosts"].to_string();
    assert_eq!(hosts(&config(&mut jobstream(&serve)).await), r#"["jobs.example"]"#, "file");
    let mut by_variable = jobstream(&serve);
    by_variable.env("JOBSTREAM_ALLOWED_HOSTS", "a,b:1");
    assert_eq!(hosts(&config(&mut by_variable).await), r#"["a", "b:1"]"#, "variable");
    let flags = [&serve[..], &["--allowed-host", "server", "--allowed-host", "*"]].concat();
    assert_eq!(hosts(&config(&mut jobstream(&flags)).await), r#"["server", "*"]"#, "flag");
    let wrong = ["serve", "--listen", "127.0.0.1:0", "--allowed-host", "http://jobs.example"];
    run(&mut jobstream(&wrong)).await.exits(10).prints(&["write host or host:port"]);
}

#[tokio::test]
async fn worker_terms_can_be_configured() {
    let file = config_file(
        "worker-terms.toml",
        "[worker]\nlease = '1m'\nping_interval = '2s'\naccept_timeout = '3s'\n[limits]\nworkers_max = 7\n",
    );
    let file = file.to_str().expect("UTF-8");
    let mut command =
        jobstream(&["serve", "--config", file, "--print-config", "--worker-ping-interval", "4s"]);
    command.env("JOBSTREAM_WORKER_LEASE", "2m").env("JOBSTREAM_WORKER_PING_INTERVAL", "3s");
    let config = config(&mut command).await;
    let worker = &config["worker"];
    assert_eq!(worker["ping_interval"].as_str(), Some("4s"), "flag");
    assert_eq!(worker["lease"].as_str(), Some("2m"), "variable");
    assert_eq!(worker["accept_timeout"].as_str(), Some("3s"), "file");
    assert_eq!(worker["reconnect_grace"].as_str(), Some("800ms"), "default");
    assert_eq!(config["limits"]["workers_max"].as_integer(), Some(7), "file");
}

#[tokio::test]
async fn inconsistent_worker_terms_are_rejected_at_the_start() {
    for (flag, value, message) in [
        ("--worker-lease", "1s", "worker.lease is 1s, but heartbeats come every"),
        ("--worker-reconnect-grace", "1m", "worker.reconnect_grace is 1m"),
        ("--worker-accept-timeout", "0", "worker.accept_timeout is 0"),
        ("--workers-max", "0", "--workers-max"),
    ] {
        let args = ["dev", "--listen", "127.0.0.1:0", flag, value];
        run(&mut jobstream(&args)).await.exits(2).prints(&[message]);
    }
}

#[tokio::test]
async fn missing_program_is_an_error_at_the_start() {
    let file = config_file("missing-program.toml", "[commands.resize]\nprogram = 'no-such-program'\n");
    let file = file.to_str().expect("UTF-8");
    for args in [
        &["dev", "--listen", "127.0.0.1:0", "--exec", "resize=no-such-program"][..],
        &["serve", "--listen", "127.0.0.1:0", "--config", file],
        &["worker", "--config", file],
        &["worker", "--exec", "resize=no-such-program"],
    ] {
        let mut command = jobstream(args);
        command.env("PATH", "/a:/b:/c:/d:/e");
        let expected = "the program of kind resize: cannot start no-such-program: \
                        not found in /a, /b, /c and 2 more folders of PATH: install it or give its full path";
        run(&mut command).await.exits(2).prints(&[expected]);
    }
}

#[tokio::test]
async fn listen_address_that_cannot_be_used_is_explained() {
    let wrong = ["serve", "--listen", "7070"];
    run(&mut jobstream(&wrong)).await.exits(2).prints(&["\"7070\" is not host:port: write 127.0.0.1:7070"]);
    let unknown = ["serve", "--listen", "nowhere.invalid:7070"];
    let expected = "cannot listen on nowhere.invalid:7070: the name nowhere.invalid has no address";
    run(&mut jobstream(&unknown)).await.exits(10).prints(&[expected, "choose a name or an address"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("localhost:{}", taken.local_addr().expect("an address").port());
    let expected = format!("cannot listen on {address} (127.0.0.1:");
    run(&mut jobstream(&["serve", "--listen", &address])).await.exits(10).prints(&[&expected, "in use"]);
}

#[tokio::test]
async fn printed_config_explains_every_key() {
    let printed = run(&mut jobstream(&["serve", "--print-config"])).await.exits(0).stdout;
    for expected in [
        "# Retention of finished jobs. Default: 1h. --retention, JOBSTREAM_RETENTION\nretention = \"1h\"\n",
        "# [commands.KIND]\n",
        "# retry_exit_codes (list of numbers): Exit codes of failures that are retried",
    ] {
        assert!(printed.contains(expected), "no {expected:?} in {printed}");
    }
}
