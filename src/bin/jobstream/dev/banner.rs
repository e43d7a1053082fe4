//! The banner of `dev` and its last line.

use std::path::Path;

use jobstream::job::EndCounts;

use super::tls;
use crate::output::style::{Color, Style};
use crate::output::text;
use crate::server::{Ready, Totals};

/// Line width of the list of kinds.
const WIDTH: usize = 76;

/// The address, the storage, and commands to try. `ca` is the file of the CA that `--tls` has made. `has_context`: commands
/// without an address call another server.
pub(super) fn banner(ready: &Ready, ca: Option<&Path>, has_context: bool, style: Style) -> String {
    let address = ready.addresses[0];
    let ca = ca.map_or("ca.crt".to_owned(), tls::quoted);
    let again = match ready.first().as_str() {
        "127.0.0.1:7070" if !has_context => None,
        address if ready.is_tls => Some(format!("export JOBSTREAM_ADDRESS={address} JOBSTREAM_CA={ca}")),
        address => Some(format!("export JOBSTREAM_ADDRESS={address}")),
    };
    let (security, grpcurl, curl, scheme) = match ready.is_tls {
        true => ("TLS", format!("grpcurl -cacert {ca}"), format!("curl --cacert {ca}"), "https"),
        false => ("plaintext", "grpcurl -plaintext".to_owned(), "curl".to_owned(), "http"),
    };
    let url = format!("{scheme}://{address}");
    let storage = match &ready.data {
        Some(directory) => format!("{}: jobs survive restarts", directory.display()),
        None => "in-memory: jobs are lost on exit".to_owned(),
    };
    let label = |name: &str| style.paint(Color::Dim, &format!("  {name:<10}"));
    let mut lines = vec![
        format!("jobstream {}, dev mode", env!("CARGO_PKG_VERSION")),
        String::new(),
        format!("{}{}, {security}, reflection on", label("gRPC"), ready.listed()),
        format!("{}{url}, JSON under /v1", label("HTTP")),
        format!("{}{storage}", label("Storage")),
    ];
    let mut name = "Kinds";
    for kinds in wrap(&ready.kinds) {
        lines.push(format!("{}{kinds}", label(name)));
        name = "";
    }
    lines.push(String::new());
    let tries = again.into_iter().chain([
        "jobstream run demo.echo '{\"hi\": \"there\"}'".to_owned(),
        "jobstream submit demo.count '{\"to\": 5}' --watch".to_owned(),
        "jobstream jobs ls".to_owned(),
        format!("{grpcurl} -d '{{\"job\": {{\"kind\": \"demo.count\"}}}}' \\"),
        format!("  {address} jobstream.v1.JobService/Run"),
        format!("{curl} --json '{{\"kind\": \"demo.count\"}}' \\"),
        format!("  '{url}/v1/jobs?wait=30s'"),
    ]);
    let mut name = "Try";
    for line in tries {
        lines.push(format!("{}{line}", label(name)));
        name = "";
    }
    lines.push(String::new());
    lines.push("Ctrl-C stops it.\n".to_owned());
    lines.join("\n")
}

/// The kinds, separated by spaces, in lines of bounded length.
fn wrap(kinds: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for kind in kinds {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + kind.len() + 12 <= WIDTH => {
                line.push(' ');
                line.push_str(kind);
            }
            _ => lines.push(kind.clone()),
        }
    }
    lines
}

/// One line: `stopped after 3m: 12 jobs ended (10 succeeded, 1 failed, 1 cancelled), 2 lost`.
pub(super) fn summary(totals: &Totals) -> String {
    let EndCounts { succeeded, failed, cancelled } = totals.report.ended;
    let ended = succeeded + failed + cancelled;
    let jobs = text::counted(ended, "job", "jobs");
    let mut line = format!("stopped after {}: {jobs} ended", text::duration(totals.uptime));
    if ended > 0 {
        let of = [(succeeded, "succeeded"), (failed, "failed"), (cancelled, "cancelled")];
        let parts: Vec<_> = of
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, word)| format!("{} {word}", text::count(number)))
            .collect();
        line += &format!(" ({})", parts.join(", "));
    }
    if totals.report.jobs_left > 0 {
        let fate = if totals.is_durable { "stored" } else { "lost" };
        line += &format!(", {} {fate}", text::count(totals.report.jobs_left.into()));
    }
    line
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jobstream::server::ShutdownReport;

    use super::*;

    fn ready(address: &str) -> Ready {
        let kinds =
            ["demo.count", "demo.echo", "demo.fail", "demo.flaky", "demo.sleep", "demo.stream", "upper"];
        Ready {
            addresses: vec![address.parse().expect("an address")],
            is_tls: false,
            data: None,
            kinds: kinds.map(String::from).to_vec(),
        }
    }

    #[test]
    fn the_banner_fits_a_terminal_and_names_what_is_lost() {
        let banner = banner(&ready("127.0.0.1:54321"), None, false, Style::PLAIN);
        for line in banner.lines() {
            assert!(line.len() <= 80, "{line}");
        }
        for part in [
            env!("CARGO_PKG_VERSION"),
            "lost on exit",
            "demo.stream",
            "127.0.0.1:54321 jobstream.v1.JobService/Run",
            "'http://127.0.0.1:54321/v1/jobs?wait=30s'",
        ] {
            assert!(banner.contains(part), "{banner}");
        }
    }

    #[test]
    fn at_the_default_address_the_lines_to_try_need_none() {
        assert!(!banner(&ready("127.0.0.1:7070"), None, false, Style::PLAIN).contains("JOBSTREAM_ADDRESS"));
        assert!(
            banner(&ready("127.0.0.1:7071"), None, false, Style::PLAIN)
                .contains("JOBSTREAM_ADDRESS=127.0.0.1:7071\n")
        );
    }

    #[test]
    fn with_a_context_the_lines_to_try_name_the_address() {
        let banner = banner(&ready("127.0.0.1:7070"), None, true, Style::PLAIN);
        assert!(banner.contains("export JOBSTREAM_ADDRESS=127.0.0.1:7070\n"), "{banner}");
    }

    #[test]
    fn with_tls_the_lines_to_try_name_the_scheme_and_the_ca() {
        let banner = banner(&Ready { is_tls: true, ..ready("127.0.0.1:7070") }, None, false, Style::PLAIN);
        assert!(banner.lines().all(|line| line.len() <= 80), "{banner}");
        for part in [
            "https://127.0.0.1:7070, TLS, ",
            "JOBSTREAM_ADDRESS=https://127.0.0.1:7070 JOBSTREAM_CA=ca.crt\n",
            "grpcurl -cacert ca.crt -d ",
            "  127.0.0.1:7070 jobstream.v1.JobService/Run",
        ] {
            assert!(banner.contains(part), "{banner}");
        }
    }

    #[test]
    fn the_lines_to_try_name_the_ca_that_was_made() {
        let ready = Ready { is_tls: true, ..ready("127.0.0.1:7070") };
        let banner = banner(&ready, Some(Path::new("/srv/an user/ca.crt")), false, Style::PLAIN);
        for part in ["JOBSTREAM_CA='", "grpcurl -cacert '", "curl --cacert '"] {
            assert!(banner.contains(&format!("{part}/srv/an user/ca.crt'")), "{banner}");
        }
    }

    #[test]
    fn the_summary_is_one_line() {
        let ended = EndCounts { succeeded: 1_200, failed: 1, cancelled: 0 };
        let report = ShutdownReport { ended, jobs_left: 2, ..ShutdownReport::default() };
        let totals = Totals { uptime: Duration::from_secs(180), report, ..Totals::default() };
        assert_eq!(
            summary(&totals),
            "stopped after 3m: 1,201 jobs ended (1,200 succeeded, 1 failed), 2 lost"
        );
        let idle = Totals { uptime: Duration::from_secs(2), ..Totals::default() };
        assert_eq!(summary(&idle), "stopped after 2s: 0 jobs ended");
    }
}
