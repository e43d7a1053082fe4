//! The size of memory pages.

/// Whether this process may be given huge pages, and the processes that it starts from now on.
///
/// Pages of 2 MiB suit programs that go through much memory again and again. A server of small jobs waits while the kernel
/// clears one, and with it everybody in its queue; so does a load generator, for tens of milliseconds.
pub(crate) fn allow_huge_pages(allowed: bool) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(!allowed) {
        tracing::debug!(%error, "cannot choose the size of pages");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = allowed;
}
