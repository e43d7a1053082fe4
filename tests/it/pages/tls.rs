//! The commands of docs/tls.md, in their order.

use super::{Directory, has_grpcurl, page, run_blocks};

#[tokio::test]
async fn every_command_of_the_tls_page_works() {
    let blocks = run_blocks("docs/tls.md", &page("docs/tls.md"));
    let [dev, authority, server, clients, renewal, client_certificate, strict_server, strict_clients] =
        &blocks[..]
    else {
        panic!("the page has {} command blocks now", blocks.len());
    };
    // The tests of `dev --tls` run it.
    assert_eq!(dev.trim(), "jobstream dev --tls");
    if !has_grpcurl().await {
        println!("no grpcurl: skipped");
        return;
    }
    let directory = Directory::new();
    directory.sh(authority).await;
    let (_server, port) = directory.serve(server, "7070").await;
    let stdout = directory.sh(&clients.replace("localhost:7070", &format!("localhost:{port}"))).await;
    assert!(stdout.contains("JOB_STATE_SUCCEEDED") && stdout.contains("\"hi\""), "{stdout}");
    directory.sh(renewal).await;
    directory.sh(client_certificate).await;
    let (_strict_server, port) = directory.serve(strict_server, "7071").await;
    let stdout = directory.sh(&strict_clients.replace("localhost:7071", &format!("localhost:{port}"))).await;
    assert_eq!(stdout.matches("\"durability\"").count(), 2, "{stdout}");
}
