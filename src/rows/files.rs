//! Files that are private to the user, and names that survive a power cut.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

/// Makes a file anew, or empties it; readable by the user alone (0600).
///
/// # Errors
/// What the system says.
pub fn private_file(path: &Path) -> io::Result<File> {
    private(OpenOptions::new().write(true).create(true).truncate(true), path)
}

/// Makes a file that must not be there yet; readable by the user alone (0600).
///
/// # Errors
/// What the system says.
pub fn new_private_file(path: &Path) -> io::Result<File> {
    private(OpenOptions::new().write(true).create_new(true), path)
}

fn private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

/// Makes a folder and those above it, if they aren't there; what is made can be
/// used by the user alone (0700).
///
/// # Errors
/// What the system says.
pub fn private_folder(path: &Path) -> io::Result<()> {
    make_private(DirBuilder::new().recursive(true), path)
}

/// Makes a folder that must not be there yet, below one that is; it can be used
/// by the user alone (0700).
///
/// # Errors
/// What the system says.
pub fn new_private_folder(path: &Path) -> io::Result<()> {
    make_private(&mut DirBuilder::new(), path)
}

fn make_private(builder: &mut DirBuilder, path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path)
}

/// Makes the names in the folder of a file survive a power cut.
///
/// # Errors
/// What the system says.
pub fn sync_folder(of: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let folder = match of.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
