//! The commands of docs/cli.md, in their order, with a home directory of their own.

use super::{Directory, page, run_blocks};
use crate::support::Dev;

#[tokio::test]
async fn every_command_of_the_command_line_page_works() {
    let blocks = run_blocks("docs/cli.md", &page("docs/cli.md"));
    let [open, live, tokens, serve, token, contexts] = &blocks[..] else {
        panic!("the page has {} command blocks now", blocks.len());
    };
    let directory = Directory::new();
    let sh = async |block: &str| {
        directory.sh(&format!("export HOME=\"$PWD\"; unset XDG_CONFIG_HOME\n{block}")).await
    };
    let dev = Dev::start(&[]).await;
    sh(&open.replace("localhost:7070", &dev.address)).await;
    let stdout = sh(&live.replace("localhost:7070", &dev.address)).await;
    assert!(stdout.starts_with("jobstream ") && stdout.contains("\"submitted\": \"1\""), "{stdout}");
    let hash = sh(tokens).await;
    assert_eq!(hash.trim_end().len(), 64, "{hash}");
    // A server runs until a signal: its config is checked, and one with the same file is started on a free port.
    let config = sh(&format!("{} --print-config", serve.trim_end())).await;
    assert!(config.contains("tokens_file = \"tokens.toml\""), "{config}");
    let file = directory.0.join("tokens.toml").display().to_string();
    let secured = Dev::start(&["--auth-tokens", &file]).await;
    let replaced = |block: &str| {
        block.replace("localhost:7070", &dev.address).replace("localhost:7071", &secured.address)
    };
    let stdout = sh(&replaced(token)).await;
    assert!(stdout.starts_with("\"with a token\"\n") && stdout.lines().count() == 2, "{stdout}");
    let stdout = sh(&replaced(contexts)).await;
    assert!(stdout.contains("\"with the token of mail\"\n"), "{stdout}");
    assert!(stdout.contains(&format!("mail\t*\t{}\tSTORED\n", secured.address)), "{stdout}");
}
