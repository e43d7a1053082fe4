//! `jobstream context`: the file of the contexts, and which server a command calls.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Home, TOKEN};
use crate::support::{Dev, Nginx, needs};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[tokio::test]
async fn a_context_has_the_address_and_the_token() {
    needs!("nginx");
    let dev = Dev::start(&[]).await;
    let nginx = Nginx::guarding(&dev.address, "authorization", &format!("Bearer {TOKEN}")).await;
    let (home, address) = (Home::new(), format!("http://127.0.0.1:{}", nginx.grpc));
    let add = ["context", "add", "test", "--address", &address, "--token-stdin"];
    home.run_with_input(&[], &add, "jst_good\n").await.ends(0, &["added the context test"]);
    assert_eq!(mode(&home.contexts()), 0o600);
    assert_eq!(mode(home.contexts().parent().expect("a directory")), 0o700);
    let run = ["run", "demo.echo", "7"];
    let with_context = ["run", "demo.echo", "7", "--context", "test"];
    // Not the current one yet.
    home.run(&[], &["info", "--rpc-timeout", "1s"]).await.ends(7, &["the default address"]);
    assert_eq!(home.run(&[], &with_context).await.ends(0, &[]), "7\n");
    assert_eq!(home.run(&[("JOBSTREAM_CONTEXT", "test")], &run).await.ends(0, &[]), "7\n");
    home.run(&[], &["context", "use", "test"]).await.ends(0, &["test is the current context"]);
    assert_eq!(home.run(&[], &run).await.ends(0, &[]), "7\n");
    // A variable overrides the current context, but not one that a flag names.
    let bad = [("JOBSTREAM_TOKEN", "jst_bad")];
    home.run(&bad, &run).await.ends(4, &["JOBSTREAM_TOKEN"]);
    assert_eq!(home.run(&bad, &with_context).await.ends(0, &[]), "7\n");
    // The token is for the address of the context only.
    home.run(&[], &["run", "demo.echo", "7", "--address", &address]).await.ends(4, &["401"]);
    home.run(&[("JOBSTREAM_ADDRESS", &address)], &run).await.ends(4, &["401"]);

    let listed = home.run(&[], &["context", "ls"]).await.ends(0, &[]);
    assert_eq!(listed, format!("test\t*\t{address}\tSTORED\n"));
    for arguments in [["context", "show", "test"], ["context", "show", "-ojson"], ["context", "ls", "-ojson"]]
    {
        let shown = home.run(&[], &arguments).await.ends(0, &[]);
        assert!(shown.contains(&address) && !shown.contains("jst_"), "{shown}");
    }
    home.run(&[], &["context", "rm", "test"]).await.ends(0, &["no context is the current one"]);
    assert!(!fs::read_to_string(home.contexts()).expect("a file").contains("jst_"));
    home.run(&[], &with_context).await.ends(5, &["there is no context \"test\""]);
}

#[tokio::test]
async fn a_token_that_others_can_read_is_refused() {
    let home = Home::new();
    let add = ["context", "add", "a", "--address", "127.0.0.1:1"];
    home.run(&[], &add).await.ends(0, &[]);
    fs::set_permissions(home.contexts(), Permissions::from_mode(0o644)).expect("changed");
    // Without a token there is nothing to protect.
    home.run(&[], &["context", "ls"]).await.ends(0, &[]);
    let add = ["context", "add", "b", "--address", "127.0.0.1:1", "--token-stdin"];
    home.run_with_input(&[], &add, TOKEN).await.ends(0, &[]);
    assert_eq!(mode(&home.contexts()), 0o600);
    fs::set_permissions(home.contexts(), Permissions::from_mode(0o640)).expect("changed");
    let command = format!("chmod 600 {}", home.contexts().display());
    for arguments in [&["context", "ls"][..], &["info", "--context", "a"], &["context", "rm", "b"]] {
        home.run(&[], arguments).await.ends(2, &["other users can read", &command]);
    }
    // A command that names its server does not read the file.
    home.run(&[], &["info", "--address", "127.0.0.1:1", "--rpc-timeout", "1s"]).await.ends(7, &[]);
}

#[tokio::test]
async fn a_context_that_cannot_work_is_not_added() {
    let home = Home::new();
    let add = async |flags: &[&str], part: &str| {
        let arguments = [&["context", "add", "a"], flags].concat();
        home.run_with_input(&[], &arguments, TOKEN).await.ends(2, &[part]);
    };
    add(&["--address", "host"], "the port is missing").await;
    add(&["--address", "192.0.2.1:1", "--token-stdin"], "--insecure-token").await;
    add(&["--address", "h:1", "--ca", "ca.crt"], "--ca needs TLS").await;
    add(&["--address", "https://h:1", "--ca", "missing.crt"], "missing.crt").await;
    add(&["--address", "https://h:1", "--token-file", "missing"], "token file").await;
    assert!(!home.contexts().exists());
    home.write("token", TOKEN);
    let arguments = ["context", "add", "a", "--address", "https://h:1", "--token-file", "token"];
    home.run(&[], &arguments).await.ends(0, &[]);
    home.run(&[], &arguments).await.ends(2, &["there is a context a already", "jobstream context rm a"]);
    let shown = home.run(&[], &["context", "show", "a"]).await.ends(0, &[]);
    assert!(shown.contains(&home.path("token").display().to_string()), "{shown}");
    home.run(&[], &["context", "use", "b"]).await.ends(5, &["there are: a"]);
    home.run(&[("JOBSTREAM_CONTEXT", "a"), ("JOBSTREAM_ADDRESS", "h:1")], &["info"])
        .await
        .ends(2, &["JOBSTREAM_ADDRESS and JOBSTREAM_CONTEXT are both set"]);
    home.run(&[], &["context", "list"]).await.ends(2, &["jobstream context ls"]);
    fs::write(home.contexts(), "current = 'a'\n[contexts.a]\nadress = 'h:1'\n").expect("a file");
    home.run(&[], &["info"]).await.ends(2, &["contexts.toml:3", "did you mean \"address\"?"]);
}

#[tokio::test]
async fn contexts_that_are_added_at_the_same_time_are_all_stored() {
    let home = Home::new();
    let names: Vec<_> = (0..8).map(|number| format!("c{number}")).collect();
    let adds = names.iter().map(|name| async {
        let arguments = ["context", "add", name, "--address", "127.0.0.1:1"];
        home.run(&[], &arguments).await.ends(0, &[]);
    });
    futures_util::future::join_all(adds).await;
    let listed = home.run(&[], &["context", "ls"]).await.ends(0, &[]);
    assert_eq!(listed.lines().count(), names.len(), "{listed}");
}
