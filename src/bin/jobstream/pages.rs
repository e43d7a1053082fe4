//! The size of memory pages.

/// Allows or forbids huge pages for this process and its future children.
///
/// Huge pages of 2 MiB help programs that scan much memory. A server of small jobs stalls while the kernel clears one, for
/// up to tens of milliseconds.
pub(crate) fn allow_huge_pages(allowed: bool) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(!allowed) {
        tracing::debug!(%error, "cannot choose the size of pages");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = allowed;
}
