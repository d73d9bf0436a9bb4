//! Whether the kernel backs the process's memory with huge pages.

use std::io;

use rustix::thread::disable_transparent_huge_pages;

/// Has the kernel give memory in pages of the usual size from now on. With huge ones (2 MiB), room for a body of which
/// only the first bytes came would take all of its memory, and a budget of bytes would bound nothing.
///
/// The allocator is built not to ask for huge pages; this is for machines whose kernels give them unasked
/// (`/sys/kernel/mm/transparent_hugepage/enabled` is `always`).
///
/// # Errors
/// When the kernel, or a sandbox, knows no such setting.
pub fn off() -> io::Result<()> {
    Ok(disable_transparent_huge_pages(true)?)
}
