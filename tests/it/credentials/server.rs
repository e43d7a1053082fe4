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

#[tokio::test]
async fn a_list_that_grants_narrow_names_the_grant_that_shows_all() {
    let home = Home::new();
    let ops = token(&home, "ops", &["--grant", "all"]).await;
    let mail = ["--grant", "list own", "--grant", "admin queue=mail", "--grant", "submit"];
    let mail = token(&home, "mail", &mail).await;
    let dev = server(&home).await;
    let (at, ops) = (("JOBSTREAM_ADDRESS", dev.address.as_str()), ("JOBSTREAM_TOKEN", ops.as_str()));
    let mail = ("JOBSTREAM_TOKEN", mail.as_str());
    home.run(&[at, ops], &["submit", "demo.echo", "7"]).await.ends(0, &[]);
    let notice =
        |list, grant| format!("only {list} that your grants permit are shown: seeing all needs {grant}\n");
    let jobs = notice("jobs", "list");
    for (arguments, expected) in [
        (&["workers", "ls"][..], notice("workers", "admin")),
        (&["queues", "ls"], notice("queues", "list")),
        (&["jobs", "ls"], format!("no jobs match\n{jobs}")),
        (
            &["jobs", "cancel", "--kind", "demo.echo", "--yes"],
            format!("{jobs}no jobs match: there is nothing to cancel\n"),
        ),
    ] {
        let narrowed = home.run(&[at, mail], arguments).await;
        assert_eq!(narrowed.stderr, expected);
        narrowed.ends(0, &[]);
        let whole = home.run(&[at, ops], arguments).await;
        assert!(!whole.stderr.contains("only"), "{}", whole.stderr);
        assert_eq!(home.run(&[at, mail], &[arguments, &["--quiet"]].concat()).await.stderr, "");
    }
    let run = ["run", "demo.echo", "7", "--require-worker"];
    home.run(&[at, mail], &run).await.ends(5, &["no worker serves demo.echo", "only workers that", "admin"]);
    home.run(&[at, mail], &["jobs", "get", "0123456789"]).await.ends(5, &["only jobs that", "list"]);
    let top = home.run(&[at, mail], &["top"]).await.ends(0, &[]);
    let notice =
        "only jobs and queues and workers that your grants permit are shown: seeing all needs list and admin";
    assert!(top.contains(notice) && !top.contains(" watches "), "{top}");
    let info = home.run(&[at, mail], &["info"]).await.ends(0, &[]);
    assert!(info.contains("jobs\tneeds the grant list\n"), "{info}");
    let info = home.run(&[at, ops], &["info"]).await.ends(0, &[]);
    assert!(info.contains("jobs\t1\n"), "{info}");
}
