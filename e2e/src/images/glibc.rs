//! What programs run on that are linked to glibc: the loader, a few libraries of this machine, and a user.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::rootfs::copy;

/// Changes when the layout below does, so that images are made again.
pub const LAYOUT: &str = "loader in lib64, glibc and libgcc where this machine has them, user 65532, /tmp";

/// The loader, where programs name it.
const LOADER: &str = "lib64/ld-linux-x86-64.so.2";

/// Libraries that Envoy and programs in Rust link to, and those that name lookup opens by itself.
const LIBRARIES: [&str; 9] = [
    "libgcc_s.so.1",
    "libc.so.6",
    "libm.so.6",
    "librt.so.1",
    "libdl.so.2",
    "libpthread.so.0",
    "libresolv.so.2",
    "libnss_dns.so.2",
    "libnss_files.so.2",
];

/// Adds it to `rootfs`.
pub fn fill(rootfs: &Path) -> Result<()> {
    copy(&Path::new("/").join(LOADER), &rootfs.join(LOADER))?;
    for library in LIBRARIES {
        // The loader looks where its own distribution keeps libraries.
        let place = find(library)?;
        copy(&place, &rootfs.join(place.strip_prefix("/").unwrap_or(&place)))?;
    }
    std::fs::create_dir_all(rootfs.join("etc"))?;
    std::fs::write(rootfs.join("etc/passwd"), "nonroot:x:65532:65532::/:/\n")?;
    std::fs::write(rootfs.join("etc/nsswitch.conf"), "hosts: files dns\n")?;
    std::fs::create_dir_all(rootfs.join("tmp"))?;
    std::fs::set_permissions(rootfs.join("tmp"), PermissionsExt::from_mode(0o1777))
        .context("opening /tmp to all")
}

fn find(library: &str) -> Result<PathBuf> {
    let folders = ["/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/usr/lib"];
    let mut places = folders.iter().map(|folder| Path::new(folder).join(library));
    let found = places.find(|place| place.is_file());
    found.with_context(|| format!("{library} is not on this machine: images are made on x86-64 with glibc"))
}
