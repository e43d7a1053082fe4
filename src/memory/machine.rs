//! The memory of the machine and the memory limit of this process's cgroup.
//!
//! Linux only. On other systems both are unknown.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// A v1 limit at or above this value means no limit: the kernel then reports the largest multiple of the page size.
const UNLIMITED_BYTES_MIN: u64 = 1 << 60;

/// The smaller of the machine's memory and the limit of this process's cgroup, in bytes; `None` if neither is known.
pub fn memory_bytes() -> Option<u64> {
    memory_bytes_below(Path::new("/"))
}

fn memory_bytes_below(root: &Path) -> Option<u64> {
    machine_bytes(root).into_iter().chain(cgroup_bytes(root)).min()
}

/// `MemTotal` of `/proc/meminfo`.
fn machine_bytes(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The smallest limit of the cgroup and its ancestors up to the mount point of the hierarchy, for v1 and v2.
fn cgroup_bytes(root: &Path) -> Option<u64> {
    let memberships = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
    let limit = |mount: Mount| {
        let path = memberships.lines().find_map(|line| mount.version.path_in(line))?;
        mount.smallest_limit(root, path)
    };
    mounts.lines().filter_map(Mount::parse).filter_map(limit).min()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

impl Version {
    fn file(self) -> &'static str {
        match self {
            Self::V1 => "memory.limit_in_bytes",
            Self::V2 => "memory.max",
        }
    }

    /// The path in a line `ID:CONTROLLERS:PATH` of `/proc/self/cgroup`, if the line is that of the memory controller.
    fn path_in(self, line: &str) -> Option<&str> {
        let mut fields = line.splitn(3, ':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_memory = match self {
            Self::V1 => controllers.split(',').any(|controller| controller == "memory"),
            Self::V2 => id == "0" && controllers.is_empty(),
        };
        is_memory.then_some(path)
    }
}

/// A mounted cgroup hierarchy with a memory controller.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    version: Version,
    /// Path of the cgroup at the mount point.
    root: PathBuf,
    point: PathBuf,
}

impl Mount {
    /// Parses a line of `/proc/self/mountinfo`: `36 35 98:0 /root /point opts [tag...] - type source opts`.
    fn parse(line: &str) -> Option<Self> {
        let (location, filesystem) = line.split_once(" - ")?;
        let mut filesystem = filesystem.split(' ');
        let (name, options) = (filesystem.next()?, filesystem.nth(1)?);
        let version = match name {
            "cgroup2" => Version::V2,
            "cgroup" if options.split(',').any(|option| option == "memory") => Version::V1,
            _ => return None,
        };
        let mut location = location.split(' ').skip(3).map(unescaped);
        Some(Self { version, root: location.next()?.into(), point: location.next()?.into() })
    }

    fn smallest_limit(&self, root: &Path, path: &str) -> Option<u64> {
        // In a cgroup namespace, the path of the process may not start with the root of the mount.
        let relative = Path::new(path).strip_prefix(&self.root).unwrap_or(Path::new(""));
        let relative: PathBuf =
            relative.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        let point = root.join(self.point.strip_prefix("/").unwrap_or(&self.point));
        let limit = |group: &Path| {
            let text = fs::read_to_string(point.join(group).join(self.version.file())).ok()?;
            // `max` means no limit. It does not parse as a number.
            let bytes: u64 = text.trim().parse().ok()?;
            (bytes < UNLIMITED_BYTES_MIN).then_some(bytes)
        };
        relative.ancestors().filter_map(limit).min()
    }
}

/// Unescapes a field of `mountinfo`, which escapes blanks and backslashes as three octal digits.
fn unescaped(field: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(field.to_owned(), |field, (escape, plain)| field.replace(escape, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:       24576000 kB\nMemFree:        100 kB\n";
    const MACHINE_BYTES: u64 = 24_576_000 * 1024;
    const V1_MOUNT: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n";
    const V2_MOUNT: &str = "41 31 0:38 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    /// A directory tree that is removed on drop.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("jobstream-cgroup-{}-{name}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(root)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn bytes(name: &str, files: &[(&str, &str)]) -> Option<u64> {
        memory_bytes_below(&Tree::new(name, files).0)
    }

    #[test]
    fn smallest_limit_of_the_ancestors_applies_in_v2() {
        let files = [
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "0::/pod/app\n"),
            ("proc/self/mountinfo", V2_MOUNT),
            ("sys/fs/cgroup/pod/app/memory.max", "max\n"),
            ("sys/fs/cgroup/pod/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/memory.max", "2147483648\n"),
            ("sys/fs/cgroup/pod/other/memory.max", "1\n"),
        ];
        assert_eq!(bytes("v2", &files), Some(1 << 30));
    }

    #[test]
    fn smallest_limit_of_the_ancestors_applies_in_v1() {
        let files = [
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/\n"),
            ("proc/self/mountinfo", &(V1_MOUNT.to_owned() + V2_MOUNT)),
            ("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "1073741824\n"),
            ("sys/fs/cgroup/memory/docker/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        assert_eq!(bytes("v1", &files), Some(1 << 30));
    }

    #[test]
    fn without_a_limit_the_memory_of_the_machine_applies() {
        let v1 = [
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "4:memory:/a\n"),
            ("proc/self/mountinfo", V1_MOUNT),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        assert_eq!(bytes("v1-unlimited", &v1), Some(MACHINE_BYTES));
        let v2 = [
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", V2_MOUNT),
            ("sys/fs/cgroup/memory.max", "max\n"),
        ];
        assert_eq!(bytes("v2-unlimited", &v2), Some(MACHINE_BYTES));
        assert_eq!(bytes("no-cgroup", &[("proc/meminfo", MEMINFO)]), Some(MACHINE_BYTES));
        assert_eq!(bytes("nothing", &[("proc/other", "")]), None);
    }

    #[test]
    fn limit_is_read_at_the_mount_point_of_the_hierarchy() {
        let bind = "35 31 0:32 /docker/abc /sys/fs/cgroup/my\\040memory ro - cgroup cgroup rw,memory\n";
        let v1 = [
            ("proc/self/cgroup", "4:memory:/docker/abc\n"),
            ("proc/self/mountinfo", bind),
            ("sys/fs/cgroup/my memory/memory.limit_in_bytes", "536870912\n"),
        ];
        assert_eq!(bytes("bind", &v1), Some(512 << 20));
        let namespace = [
            ("proc/self/cgroup", "0::/../../elsewhere\n"),
            ("proc/self/mountinfo", V2_MOUNT),
            ("sys/fs/cgroup/memory.max", "536870912\n"),
        ];
        assert_eq!(bytes("namespace", &namespace), Some(512 << 20));
    }
}
