//! The size of memory pages.

/// Allows or forbids huge pages for this process and its future children.
///
/// Huge pages of 2 MiB help programs that scan much memory. A server of small jobs stalls while the kernel clears one, for
/// up to tens of milliseconds.
///
/// # Errors
///
/// If the kernel refuses.
pub(crate) fn allow_huge_pages(allowed: bool) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::thread::disable_transparent_huge_pages(!allowed)?;
    #[cfg(not(target_os = "linux"))]
    let _ = allowed;
    Ok(())
}
