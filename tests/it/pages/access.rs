//! The commands of docs/authentication.md, in their order.

use crate::support::{is_installed, needs};

use super::{Directory, blocks, has_grpcurl, page, run_blocks};

const PAGE: &str = "docs/authentication.md";

/// The one block that has this part.
fn block(blocks: &[String], part: &str) -> String {
    let mut found = blocks.iter().filter(|block| block.contains(part));
    let block = found.next().unwrap_or_else(|| panic!("the page has no commands with {part}"));
    assert!(found.next().is_none(), "the page has several blocks with {part}");
    block.clone()
}

/// The block of config for client certificates.
fn certificate_config(text: &str) -> String {
    let mut found = blocks(text).filter(|(language, block)| *language == "toml" && block.contains("alice"));
    found.next().expect("a config").1.to_owned()
}

/// Runs the commands of docs/tls.md that make an authority, a certificate of the server and that of alice.
async fn make_certificates(directory: &Directory) {
    let commands = run_blocks("docs/tls.md", &page("docs/tls.md"));
    for part in ["-subj \"/CN=jobstream CA\"", "-subj \"/CN=alice\""] {
        directory.sh(&block(&commands, part)).await;
    }
}

#[tokio::test]
async fn tokens_are_made_and_used_as_the_page_says() {
    if !has_grpcurl().await || !is_installed("openssl") {
        println!("no grpcurl or openssl: skipped");
        return;
    }
    let commands = run_blocks(PAGE, &page(PAGE));
    let directory = Directory::new();
    directory.sh(&block(&commands, "token new")).await;
    directory.sh(&block(&commands, "cat >> tokens.toml")).await;
    let checked = directory.sh(&block(&commands, "config check")).await;
    assert_eq!(checked, "the configuration is valid\n");
    let (_server, port) = directory.serve(&block(&commands, "--listen localhost:7070"), "7070").await;
    let calls = block(&commands, "> mail.header").replace("localhost:7070", &format!("localhost:{port}"));
    let stdout = directory.sh(&calls).await;
    assert!(stdout.contains("\"principal\":\"mail\"") && stdout.contains("submit queue=mail/* kind=demo.*"));
    assert_eq!(stdout.matches("JOB_STATE_SUCCEEDED").count(), 2, "{stdout}");
    assert!(stdout.contains("\"hi\""), "{stdout}");

    let (_public, port) = directory.serve(&block(&commands, "--anonymous-grant"), "7072").await;
    let submit = |queue: &str| {
        let job = format!("{{\"kind\": \"demo.count\", \"queue\": \"{queue}\"}}");
        format!(
            "curl -s -o answer -w '%{{http_code}} ' --json '{job}' http://localhost:{port}/v1/jobs; cat answer"
        )
    };
    assert!(directory.sh(&submit("public")).await.starts_with("201 "));
    let refused = directory.sh(&submit("private")).await;
    assert!(refused.starts_with("403 ") && refused.contains("GRANT_MISSING"), "{refused}");

    directory.sh(&block(&commands, "> token.key")).await;
    let (_minting, port) = directory.serve(&block(&commands, "--token-key"), "7073").await;
    let follow = block(&commands, "access_token").replace("localhost:7073", &format!("localhost:{port}"));
    let events = directory.sh(&follow).await;
    assert!(events.contains("JOB_STATE_SUCCEEDED"), "{events}");
}

#[tokio::test]
async fn client_certificates_are_callers_as_the_page_says() {
    needs!("curl");
    if !is_installed("openssl") {
        println!("no openssl: skipped");
        return;
    }
    let text = page(PAGE);
    let commands = run_blocks(PAGE, &text);
    let directory = Directory::new();
    make_certificates(&directory).await;
    directory.sh(&block(&commands, "token new")).await;
    directory.sh("printf 'authorization: Bearer %s' \"$(cat mail.token)\" > mail.header").await;
    let config = certificate_config(&text).replace("localhost:7071", "localhost:0");
    std::fs::write(directory.0.join("jobstream.toml"), config).expect("a file");
    let (_server, port) = directory.serve(&block(&commands, "serve --config"), "7071").await;
    let calls = block(&commands, "--cert alice.crt").replace("localhost:7071", &format!("localhost:{port}"));
    let stdout = directory.sh(&calls).await;
    for expected in [
        "\"principal\":\"alice\",\"credentialType\":\"CREDENTIAL_TYPE_CERTIFICATE\"",
        "\"principal\":\"mail\",\"credentialType\":\"CREDENTIAL_TYPE_TOKEN\"",
    ] {
        assert!(stdout.contains(expected), "{stdout}");
    }
}
