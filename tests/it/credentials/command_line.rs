//! The credentials of the command line behind a proxy that requires a token.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::{Home, TOKEN};
use crate::support::{Dev, Nginx, needs};

async fn guarded() -> (Dev, Nginx, String) {
    let dev = Dev::start(&[]).await;
    let nginx = Nginx::guarding(&dev.address, "authorization", &format!("Bearer {TOKEN}")).await;
    let address = format!("http://127.0.0.1:{}", nginx.grpc);
    (dev, nginx, address)
}

#[tokio::test]
async fn a_token_comes_from_a_flag_a_variable_or_a_file() {
    needs!("nginx");
    let (_dev, _nginx, address) = guarded().await;
    let home = Home::new();
    let (good, bad) = (home.write("good", "jst_good\n"), home.write("bad", "jst_bad"));
    let at = ("JOBSTREAM_ADDRESS", address.as_str());
    let run = ["run", "demo.echo", "7"];
    let with = |flags: &[&'static str]| [&run[..], flags].concat();
    assert_eq!(home.run(&[at, ("JOBSTREAM_TOKEN", TOKEN)], &run).await.ends(0, &[]), "7\n");
    assert_eq!(home.run(&[at, ("JOBSTREAM_TOKEN_FILE", &good)], &run).await.ends(0, &[]), "7\n");
    // The flag overrides the variables.
    let variables = [at, ("JOBSTREAM_TOKEN_FILE", &bad)];
    assert_eq!(home.run(&variables, &with(&["--token-file", "good"])).await.ends(0, &[]), "7\n");
    let header = ["--rpc-header", "Authorization: Bearer jst_good"];
    assert_eq!(home.run(&[at], &with(&header)).await.ends(0, &[]), "7\n");

    let way_out = ["401", "--token-file FILE, JOBSTREAM_TOKEN or a context"];
    home.run(&[at], &run).await.ends(4, &way_out);
    home.run(&variables, &run).await.ends(4, &way_out);
    home.run(&[at], &["jobs", "ls"]).await.ends(4, &way_out);
    home.run(&[at, ("JOBSTREAM_TOKEN", "jst_bad")], &["worker", "--exec", "a=cat"]).await.ends(4, &way_out);
}

#[tokio::test]
async fn a_token_file_that_others_can_read_is_used_with_a_warning() {
    let dev = Dev::start(&[]).await;
    let home = Home::new();
    home.write("token", TOKEN);
    let set_mode =
        |mode| fs::set_permissions(home.path("token"), Permissions::from_mode(mode)).expect("it is ours");
    let info = ["info", "--address", &dev.address, "--token-file", "token"];
    set_mode(0o600);
    assert_eq!(home.run(&[], &info).await.stderr, "");
    set_mode(0o644);
    let warned = home.run(&[], &info).await;
    let warning = "warning: the token file token has mode 644, other users can use it: run chmod 600 token\n";
    assert_eq!((warned.code, warned.stderr.as_str()), (Some(0), warning));
    assert_eq!(home.run(&[], &[&info[..], &["--quiet"]].concat()).await.stderr, "");
    let add = ["context", "add", "a", "--address", &dev.address, "--token-file", "token"];
    home.run(&[], &add).await.ends(0, &["has mode 644, other users can use it: run chmod 600 "]);
    let of_context = home.run(&[], &["info", "--context", "a"]).await;
    of_context.ends(0, &["has mode 644, other users can use it: run chmod 600 "]);
}

#[tokio::test]
async fn an_unusable_token_is_a_usage_error() {
    let home = Home::new();
    home.write("empty", "\n");
    let (token, file) = (("JOBSTREAM_TOKEN", TOKEN), ("JOBSTREAM_TOKEN_FILE", "missing"));
    home.run(&[token, file], &["info"])
        .await
        .ends(2, &["JOBSTREAM_TOKEN and JOBSTREAM_TOKEN_FILE are both set"]);
    home.run(&[file], &["info"]).await.ends(2, &["cannot read the token file missing"]);
    home.run(&[], &["info", "--token-file", "empty"])
        .await
        .ends(2, &["the token file empty is unusable: the token is empty"]);
    home.write("two", "jst_a\njst_b\n");
    let two = ["info", "--token-file", "two"];
    home.run(&[], &two).await.ends(
        2,
        &["the token file two is unusable: the token has characters that cannot be sent: check for a line"],
    );
    home.run(&[("JOBSTREAM_TOKEN", "jst_a b")], &["info"]).await.ends(2, &["characters that cannot be sent"]);
    home.run(&[], &["info", "--rpc-header", "te: x"]).await.ends(2, &["te is set by gRPC"]);
    // 192.0.2.1 is for documentation: nothing must be sent there.
    for command in [&["info"][..], &["worker", "--exec", "a=cat"]] {
        let arguments = [command, &["--address", "192.0.2.1:7070"]].concat();
        let parts = ["192.0.2.1:7070 is plain text", "--insecure-token", "https://"];
        home.run(&[token], &arguments).await.ends(2, &parts);
        home.run(&[], &[&arguments[..], &["--rpc-header", "authorization: Basic c2VjcmV0"]].concat())
            .await
            .ends(2, &parts);
    }
    let allowed = ["info", "--address", "192.0.2.1:7070", "--insecure-token", "--rpc-timeout", "50ms"];
    home.run(&[token], &allowed).await.ends(7, &["cannot reach the server"]);
}
