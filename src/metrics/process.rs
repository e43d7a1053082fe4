//! The metrics of the process that Prometheus' client libraries have as well. They are read at a scrape, on Linux.

use super::Snapshot;

#[cfg(not(target_os = "linux"))]
pub(crate) fn collect(_: &mut Snapshot) {}

/// Adds what the system reports. What it does not report is left out.
#[cfg(target_os = "linux")]
pub(crate) fn collect(snapshot: &mut Snapshot) {
    let stat = linux::Stat::read();
    for (family, value) in [
        (&super::PROCESS_CPU, stat.as_ref().map(linux::Stat::cpu_seconds)),
        (&super::PROCESS_RESIDENT_MEMORY, stat.as_ref().map(linux::Stat::resident_bytes)),
        (&super::PROCESS_START_TIME, stat.as_ref().and_then(linux::Stat::start_time_seconds)),
        (&super::PROCESS_OPEN_FDS, linux::open_fds()),
        (&super::PROCESS_MAX_FDS, linux::max_fds()),
    ] {
        if let Some(value) = value {
            snapshot.add(family, &[], value);
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    use rustix::param::{clock_ticks_per_second, page_size};
    use rustix::process::{Resource, getrlimit};

    /// The fields of /proc/self/stat after the name of the program, which may contain spaces.
    pub(super) struct Stat(Vec<f64>);

    /// The fields, by their numbers in proc(5). The first one after the name is 3.
    const USER_TICKS: usize = 14 - 3;
    const SYSTEM_TICKS: usize = 15 - 3;
    const START_TICKS: usize = 22 - 3;
    const RESIDENT_PAGES: usize = 24 - 3;

    impl Stat {
        pub(super) fn read() -> Option<Self> {
            Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
        }

        pub(super) fn parse(text: &str) -> Option<Self> {
            let (_, fields) = text.rsplit_once(')')?;
            // The state is no number.
            let fields: Vec<f64> =
                fields.split_ascii_whitespace().map(|field| field.parse().unwrap_or_default()).collect();
            (fields.len() > RESIDENT_PAGES).then_some(Self(fields))
        }

        pub(super) fn cpu_seconds(&self) -> f64 {
            (self.0[USER_TICKS] + self.0[SYSTEM_TICKS]) / clock_ticks_per_second() as f64
        }

        pub(super) fn resident_bytes(&self) -> f64 {
            self.0[RESIDENT_PAGES] * page_size() as f64
        }

        /// The start of the process, in Unix time. The system reports it since the boot of the machine.
        pub(super) fn start_time_seconds(&self) -> Option<f64> {
            let stat = fs::read_to_string("/proc/stat").ok()?;
            let boot: f64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()?;
            Some(boot + self.0[START_TICKS] / clock_ticks_per_second() as f64)
        }
    }

    /// The number of open files. The directory's size is that number since Linux 6.2; before, its entries are counted.
    pub(super) fn open_fds() -> Option<f64> {
        const DIRECTORY: &str = "/proc/self/fd";
        match fs::metadata(DIRECTORY).ok()?.len() {
            // One of the entries is the descriptor that reads them.
            0 => Some(fs::read_dir(DIRECTORY).ok()?.count().saturating_sub(1) as f64),
            open => Some(open as f64),
        }
    }

    /// The largest number of open files; `None` if it has no limit.
    pub(super) fn max_fds() -> Option<f64> {
        getrlimit(Resource::Nofile).current.map(|limit| limit as f64)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_name_of_a_program_may_have_spaces_and_parentheses() {
            let fields: Vec<_> = (4..=52).map(|number| number.to_string()).collect();
            let stat = Stat::parse(&format!("7 (a) S (b) S {}\n", fields.join(" "))).expect("all fields");
            assert_eq!(stat.cpu_seconds(), 29.0 / clock_ticks_per_second() as f64);
            assert_eq!(stat.resident_bytes(), 24.0 * page_size() as f64);
            assert!(Stat::parse("7 (a) S 1 2").is_none());
        }

        #[test]
        fn opened_files_are_counted() {
            let before = open_fds().expect("/proc");
            let files: Vec<_> = (0..500).map(|_| fs::File::open("/dev/null").expect("it exists")).collect();
            assert!(open_fds().expect("/proc") >= before + 400.0, "{before}");
            assert!(max_fds().expect("a limit") >= 500.0);
            drop(files);
        }
    }
}
