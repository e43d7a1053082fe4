//! `jobstream token`: new tokens, their entries and their hashes.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use tokio::process::Command;

use super::{Finished, Home};
use crate::support::wait_for;

/// `sha256sum` of a text.
async fn sha256(text: &str) -> String {
    let mut command = Command::new("sh");
    command.args(["-c", "printf %s \"$0\" | sha256sum", text]).stdin(Stdio::null());
    let output = wait_for("a hash", command.output()).await.expect("sha256sum runs");
    String::from_utf8(output.stdout).expect("text").split(' ').next().expect("a hash").to_owned()
}

#[tokio::test]
async fn a_new_token_is_printed_once_with_its_entry() {
    let home = Home::new();
    let new = ["token", "new", "billing", "--grant", "submit queue=billing/*", "--grant", "read own"];
    let Finished { stdout, stderr, .. } = home.run(&[], &new).await;
    let token = stdout.trim_end();
    assert!(token.starts_with("jst_") && token.len() == 47 && !stderr.contains("jst_"), "{stdout}{stderr}");
    let hash = sha256(token).await;
    let entry = format!(
        "[[token]]\nname = \"billing\"\nsha256 = \"{hash}\"\ngrants = [\"submit queue=billing/*\", \"read own\"]\n"
    );
    assert_eq!(stderr, entry);
    let hashed = home.run_with_input(&[], &["token", "hash"], &stdout).await.ends(0, &[]);
    assert_eq!(hashed, format!("{hash}\n"));
    assert_ne!(home.run(&[], &new).await.stdout, stdout);
}

#[tokio::test]
async fn an_entry_is_appended_to_the_file() {
    let home = Home::new();
    let new = async |name: &str, flags: &[&str]| {
        let arguments = [&["token", "new", name, "--grant", "work", "--file", "tokens.toml"], flags].concat();
        home.run(&[], &arguments).await
    };
    let first = new("a", &[]).await.ends(0, &["added a to tokens.toml"]);
    let file = home.path("tokens.toml");
    let mode = || fs::metadata(&file).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    let text = format!("# our tokens\n{}", fs::read_to_string(&file).expect("a file"));
    fs::write(&file, &text).expect("a file");
    // A server of another user may read the file through its group.
    fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("changed");
    new("b", &["--expires", "2126-12-24T18:00:00+01:00"]).await.ends(0, &[]);
    assert_eq!(mode(), 0o640);
    let appended = fs::read_to_string(&file).expect("a file");
    assert!(appended.starts_with(&text), "{appended}");
    assert!(appended.contains(&sha256(first.trim_end()).await), "{appended}");
    assert!(appended.ends_with("grants = [\"work\"]\nexpires = 2126-12-24T17:00:00Z\n"), "{appended}");
    // A token is replaced by a second one.
    new("a", &[]).await.ends(0, &["a has 2 tokens now"]);
    fs::write(&file, "[[token]\n").expect("a file");
    new("c", &[]).await.ends(2, &["tokens.toml:1"]);
}

#[tokio::test]
async fn a_wrong_token_is_not_made() {
    let home = Home::new();
    for (arguments, part) in [
        (&["new", "a"][..], "--grant"),
        (&["new", "a", "--grant", "write"], "write ACTION"),
        (&["new", "a b", "--grant", "all"], "is not 1 to 128 characters of A-Z"),
        (&["new", &"a".repeat(129), "--grant", "all"], "is not 1 to 128 characters of A-Z"),
        (&["new", "a", "--grant", "all", "--expires", "soon"], "2027-01-01T00:00:00Z"),
        (&["new", "a", "--grant", "all", "--expires", "2020-01-01T00:00:00Z"], "is not in the future"),
        (&["hash"], "there is no token on stdin"),
    ] {
        let stdout = home.run(&[], &[&["token"], arguments].concat()).await.ends(2, &[part]);
        assert_eq!(stdout, "");
    }
    let short = home.run_with_input(&[], &["token", "hash"], "jst_short").await;
    assert_eq!(
        short.ends(2, &["token: has 9 characters: it must have at least 32", "openssl rand -hex 32"]),
        ""
    );
}
