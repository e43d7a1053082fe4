//! The files and the commands of docs/quotas.md.

use crate::support::needs;

use std::fs;

use super::source::blocks;
use super::{Directory, page, run_blocks};

#[tokio::test]
async fn every_command_of_the_quotas_page_works() {
    needs!("curl");
    let text = page("docs/quotas.md");
    let files: Vec<_> = blocks(&text).filter(|(language, _)| *language == "toml").collect();
    let [(_, server), (_, tokens)] = &files[..] else { panic!("the page has {} files now", files.len()) };
    let directory = Directory::new();
    for (name, content) in [("server.toml", server), ("tokens.toml", tokens)] {
        fs::write(directory.0.join(name), content).expect("the file can be written");
    }
    let blocks = run_blocks("docs/quotas.md", &text);
    let [serve, submits] = &blocks[..] else { panic!("the page has {} command blocks now", blocks.len()) };
    let (_server, port) = directory.serve(serve, "7070").await;
    let stdout = directory.sh(&submits.replace("localhost:7070", &format!("localhost:{port}"))).await;
    let codes: Vec<_> = stdout.lines().filter_map(|line| line.strip_prefix(' ')).collect();
    assert_eq!(codes, ["201", "201", "429", "201", "201", "201"], "{stdout}");
    assert!(stdout.contains("\"reason\":\"QUOTA\"") && stdout.contains("principal billing"), "{stdout}");
}
