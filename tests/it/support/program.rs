//! Programs that tests call, beside those of this project.

/// Whether a program is on the PATH. In CI it must be.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(program).is_file());
    assert!(found || std::env::var("CI").as_deref() != Ok("true"), "{program} must be there in CI");
    if !found {
        println!("{program} is not installed: skipped");
    }
    found
}

/// Ends a test before its start if one of these programs is not installed.
macro_rules! needs {
    ($($program:literal),+) => {
        if !([$($program),+].iter().all(|program| crate::support::is_installed(program))) {
            return;
        }
    };
}

pub(crate) use needs;
