//! Reads the commit of a git checkout, without git.

use std::fs;
use std::path::{Path, PathBuf};

/// The commit that is checked out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    /// Its hash.
    pub(crate) id: String,
    /// Files and folders that change when another commit is checked out.
    pub(crate) sources: Vec<PathBuf>,
}

/// The commit of the checkout in `root`; `None` if it is not one, as in a package of the registry.
pub(crate) fn read(root: &Path) -> Option<Commit> {
    let directory = git_directory(root)?;
    let head = directory.join("HEAD");
    let text = fs::read_to_string(&head).ok()?;
    let Some(name) = text.trim().strip_prefix("ref: ") else {
        return Some(Commit { id: hash(&text)?, sources: vec![head] });
    };
    // Branches of a worktree are in the directory of the repository.
    let common = match fs::read_to_string(directory.join("commondir")) {
        Ok(path) => directory.join(path.trim()),
        Err(_) => directory,
    };
    let branch = common.join(name);
    if let Ok(text) = fs::read_to_string(&branch) {
        return Some(Commit { id: hash(&text)?, sources: vec![head, branch] });
    }
    let packed = common.join("packed-refs");
    let text = fs::read_to_string(&packed).ok()?;
    let line = text.lines().find_map(|line| line.strip_suffix(name)?.strip_suffix(' '));
    // The next commit of the branch creates a file in this folder.
    Some(Commit { id: hash(line?)?, sources: vec![head, packed, common.join("refs/heads")] })
}

/// `.git`, or the directory that the file `.git` of a worktree names.
fn git_directory(root: &Path) -> Option<PathBuf> {
    let git = root.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    let text = fs::read_to_string(git).ok()?;
    Some(root.join(text.trim().strip_prefix("gitdir: ")?))
}

fn hash(text: &str) -> Option<String> {
    let text = text.trim();
    (text.len() >= 40 && text.chars().all(|c| c.is_ascii_hexdigit())).then(|| text.to_owned())
}
