//! A chunk's body on disk: private, whole, on its medium before it is named
//! to anybody.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::rows::new_private_file;

/// Bytes gathered before they are written: rows are short, system calls dear.
const BUFFER: usize = 256 << 10;

/// A spool file being written.
#[derive(Debug)]
pub(super) struct Spool {
    name: String,
    path: PathBuf,
    out: BufWriter<File>,
}

impl Spool {
    /// Begins a file, mode 0600 (I8). One of the same name is what a run that
    /// died left behind; it goes.
    pub(super) fn create(dir: &Path, name: String) -> io::Result<Self> {
        let path = dir.join(&name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = new_private_file(&path)?;
        Ok(Spool { name, path, out: BufWriter::with_capacity(BUFFER, file) })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Writes out what is gathered and has the file on its medium, so that a
    /// ledger that names it never names a part of it.
    pub(super) fn finish(self) -> io::Result<String> {
        let name = self.name.clone();
        self.finish_as(name)
    }

    /// As [`Self::finish`], under another name, whose former file it replaces.
    pub(super) fn finish_as(mut self, name: String) -> io::Result<String> {
        self.out.flush()?;
        self.out.get_ref().sync_data()?;
        let Spool { name: old_name, path, out } = self;
        drop(out);
        if name != old_name {
            std::fs::rename(&path, path.with_file_name(&name))?;
        }
        #[cfg(unix)]
        if let Some(dir) = path.parent() {
            File::open(dir)?.sync_all()?;
        }
        Ok(name)
    }

    /// Drops the file.
    pub(super) fn discard(self) -> io::Result<()> {
        let path = self.path.clone();
        drop(self);
        std::fs::remove_file(path)
    }
}

/// The name of a chunk's spool file.
pub(super) fn name(chunk: u64) -> String {
    format!("chunk-{chunk:06}.csv")
}
