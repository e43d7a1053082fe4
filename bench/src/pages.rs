//! The size of memory pages.

/// Allows or forbids huge pages for this process and for the processes that it starts from now on.
///
/// The job server and the load generator run without them: the kernel clears 2 MiB at a time, which stalls for tens of
/// milliseconds.
pub(crate) fn allow_huge_pages(allowed: bool) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(!allowed) {
        eprintln!("cannot choose the size of pages: {error}");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = allowed;
}
