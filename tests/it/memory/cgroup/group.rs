//! A memory cgroup for a test, v1 or v2. The test fails if none can be created.

use std::fs;
use std::path::{Path, PathBuf};

/// A cgroup for the processes that enter it, removed when dropped.
pub(super) struct Group {
    directory: PathBuf,
}

impl Group {
    pub(super) fn with_limit(bytes: u64) -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("Linux");
        let mut tried = Vec::new();
        for (point, file) in mounts.lines().filter_map(memory_hierarchy) {
            if file == "memory.max" {
                // The controller may exist and not be enabled for children.
                let _ = fs::write(point.join("cgroup.subtree_control"), "+memory");
            }
            let directory = point.join(format!("jobstream-test-{}", std::process::id()));
            let made =
                fs::create_dir(&directory).and_then(|()| fs::write(directory.join(file), bytes.to_string()));
            match made {
                Ok(()) => return Self { directory },
                Err(error) => {
                    let _ = fs::remove_dir(&directory);
                    tried.push(format!("{}: {error}", directory.display()));
                }
            }
        }
        panic!("no memory cgroup can be made here, which this test needs: run it as root; tried {tried:?}");
    }

    /// Returns a script that enters the cgroup and executes a program.
    pub(super) fn enter(&self) -> String {
        format!("echo $$ > '{}/cgroup.procs'; exec \"$@\"", self.directory.display())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.directory) {
            eprintln!("cannot remove {}: {error}", self.directory.display());
        }
    }
}

/// Parses a line of mountinfo. Returns the mount point of the memory controller and its limit file.
fn memory_hierarchy(line: &str) -> Option<(PathBuf, &'static str)> {
    let (mount, kind) = line.split_once(" - ")?;
    let point = Path::new(mount.split(' ').nth(4)?).to_owned();
    let mut kind = kind.split(' ');
    match (kind.next()?, kind.nth(1)?) {
        ("cgroup2", _) => {
            let controllers = fs::read_to_string(point.join("cgroup.controllers")).ok()?;
            controllers.split_whitespace().any(|name| name == "memory").then_some((point, "memory.max"))
        }
        ("cgroup", options) => {
            options.split(',').any(|option| option == "memory").then_some((point, "memory.limit_in_bytes"))
        }
        _ => None,
    }
}
