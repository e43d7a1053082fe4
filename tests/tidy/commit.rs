//! The commit in `jobstream --version`: reads checkouts of every form.

#[path = "../../build/commit.rs"]
mod reader;

use std::fs;
use std::path::{Path, PathBuf};

const ID: &str = "0123456789abcdef0123456789abcdef01234567";

/// A directory with these files, removed at the end of the test.
struct Checkout(PathBuf);

impl Checkout {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("commit-{name}-{}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, text).expect("a file");
        }
        Self(root)
    }

    fn commit(&self) -> Option<String> {
        let commit = reader::read(&self.0)?;
        for source in &commit.sources {
            // Cargo rebuilds always if one is missing.
            assert!(source.exists(), "{}", source.display());
        }
        Some(commit.id)
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        // A remaining directory is harmless.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn commit_of_a_branch_is_read() {
    let line = format!("{ID}\n");
    let files = [(".git/HEAD", "ref: refs/heads/a/b\n"), (".git/refs/heads/a/b", &line)];
    assert_eq!(Checkout::new("branch", &files).commit().as_deref(), Some(ID));
}

#[test]
fn commit_of_a_packed_branch_is_read() {
    let other = "f".repeat(40);
    let packed = format!("# pack-refs with: peeled\n{other} refs/heads/my/main\n{ID} refs/heads/main\n");
    let files = [
        (".git/HEAD", "ref: refs/heads/main\n"),
        (".git/packed-refs", &packed),
        (".git/refs/heads/x", &other),
    ];
    assert_eq!(Checkout::new("packed", &files).commit().as_deref(), Some(ID));
}

#[test]
fn commit_without_a_branch_is_read() {
    assert_eq!(Checkout::new("detached", &[(".git/HEAD", ID)]).commit().as_deref(), Some(ID));
}

#[test]
fn commit_of_a_worktree_is_read() {
    let files = [
        (".git", "gitdir: repository/worktrees/one\n"),
        ("repository/worktrees/one/HEAD", "ref: refs/heads/main\n"),
        ("repository/worktrees/one/commondir", "../..\n"),
        ("repository/refs/heads/main", ID),
    ];
    assert_eq!(Checkout::new("worktree", &files).commit().as_deref(), Some(ID));
}

#[test]
fn folder_that_is_no_checkout_has_no_commit() {
    assert_eq!(Checkout::new("none", &[("Cargo.toml", "")]).commit(), None);
    let unborn = [(".git/HEAD", "ref: refs/heads/main\n")];
    assert_eq!(Checkout::new("unborn", &unborn).commit(), None);
    assert_eq!(Checkout::new("broken", &[(".git/HEAD", "x")]).commit(), None);
}
