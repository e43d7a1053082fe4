//! The command line with the tokens of a real server.

use super::Home;
use crate::support::Dev;

/// Makes a token with `jobstream token new` and writes it to the file `NAME.token`. Returns it.
async fn token(home: &Home, name: &str, flags: &[&str]) -> String {
    let arguments = [&["token", "new", name, "--file", "tokens.toml"], flags].concat();
    let token = home.run(&[], &arguments).await.ends(0, &[]);
    home.write(&format!("{name}.token"), &token);
    token.trim_end().to_owned()
}

async fn server(home: &Home) -> Dev {
    Dev::start(&["--auth-tokens", &home.path("tokens.toml").display().to_string()]).await
}

#[tokio::test]
async fn a_server_accepts_its_tokens_only_and_refusals_name_the_way_out() {
    let home = Home::new();
    let all = token(&home, "ops", &["--grant", "all"]).await;
    token(&home, "former", &["--grant", "all", "--expires", "1s"]).await;
    let dev = server(&home).await;
    let at = ("JOBSTREAM_ADDRESS", dev.address.as_str());
    let run = ["run", "demo.echo", "7"];
    let with_token = ("JOBSTREAM_TOKEN", all.as_str());
    assert_eq!(home.run(&[at, with_token], &run).await.ends(0, &[]), "7\n");
    let of_file = |file| [&run[..], &["--token-file", file]].concat();
    assert_eq!(home.run(&[at], &of_file("ops.token")).await.ends(0, &[]), "7\n");
    home.run(&[at], &run)
        .await
        .ends(4, &["CREDENTIAL_REQUIRED", "--token-file FILE, JOBSTREAM_TOKEN or a context"]);
    home.write("other.token", "jst_0000000000000000000000000000000000000000000");
    home.run(&[at], &of_file("other.token")).await.ends(4, &["CREDENTIAL_INVALID", "a token of this server"]);
    while home.run(&[at], &of_file("former.token")).await.code == Some(0) {}
    home.run(&[at], &of_file("former.token")).await.ends(4, &["CREDENTIAL_EXPIRED", "get a new token"]);
    let worker = ["worker", "--exec", "a=cat", "--token-file", "former.token"];
    home.run(&[at], &worker).await.ends(4, &["CREDENTIAL_EXPIRED"]);
}

#[tokio::test]
async fn a_minted_token_reads_its_job_and_whoami_shows_it() {
    let home = Home::new();
    let ops = token(&home, "ops", &["--grant", "all own"]).await;
    let dev = server(&home).await;
    let at = ("JOBSTREAM_ADDRESS", dev.address.as_str());
    let ops = ("JOBSTREAM_TOKEN", ops.as_str());
    let shown = home.run(&[at, ops], &["whoami"]).await.ends(0, &[]);
    assert!(shown.contains("ops") && shown.contains("static token") && shown.contains("all own"), "{shown}");
    let id = home.run(&[at, ops], &["submit", "demo.echo", "7"]).await.ends(0, &[]);
    let id = id.trim_end();
    let minted = home.run(&[at, ops], &["token", "mint", id, "--for", "10m"]).await.ends(0, &[]);
    let reader = ("JOBSTREAM_TOKEN", minted.trim_end());
    assert_eq!(home.run(&[at, reader], &["result", id, "--wait"]).await.ends(0, &[]), "7\n");
    let shown = home.run(&[at, reader], &["whoami"]).await.ends(0, &[]);
    assert!(shown.contains("minted token") && shown.contains(id) && shown.contains("expires"), "{shown}");
    home.run(&[at, reader], &["jobs", "rm", id]).await.ends(4, &["control"]);
    home.run(&[at, reader], &["token", "mint", id]).await.ends(4, &["cannot mint"]);
    home.run(&[at, ops], &["token", "mint", id, "--for", "25h"]).await.ends(2, &["1 s to 24 h"]);
}
