//! Increments of an archive folded into one snapshot: of each record the
//! version that was exported last.
//!
//! ```text
//! ids of all files ─▶ sorted by id (on disk) ─▶ rows that are superseded, in order
//! all files, in order, without those rows ─▶ files of the snapshot ─▶ manifest
//! ```
//!
//! A later export saw the org later, so its version of a record is the newer
//! one, whatever the records say of themselves. What a full export doesn't have
//! is gone: exports before it are left out.
//!
//! Memory: a bitmap of 16 MiB, the sort's, and the row groups of the files that
//! are open (I6). Disk: the snapshot, and the ids of records that have several
//! versions.

mod convert;
mod fold;
mod versions;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ExportError;
use super::lock::ArchiveLock;
use super::manifest::{Manifest, ManifestObject};
use super::output::Format;
use super::verify::each_file;
use crate::rows::private_folder;

/// What the names of a snapshot's files begin with, made in place.
const SNAPSHOT: &str = "snapshot-";

/// What becomes of records whose last version is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deleted {
    /// They are left out.
    #[default]
    Drop,
    /// They stay, marked by `IsDeleted`.
    Keep,
}

/// What became of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompactedObject {
    /// API name.
    pub object: String,
    /// Exports that were folded.
    pub exports: usize,
    /// Records in them.
    pub before: u64,
    /// Of these, older versions of records that are in a later one, and those
    /// of exports before the last full one.
    pub superseded: u64,
    /// Of these, deleted ones that were left out.
    pub deleted: u64,
    /// Records of the snapshot.
    pub records: u64,
    /// Its files.
    pub files: usize,
}

/// Exports of one object that are folded into one.
#[derive(Debug)]
struct Chain<'a> {
    /// The last full one, or the first there is, and all behind it.
    folded: Vec<&'a ManifestObject>,
    /// Full ones before it, and their increments.
    outdated: Vec<&'a ManifestObject>,
}

/// Folds the increments of every object. `into` is the folder of the new
/// archive; without it the archive itself gets the snapshot.
///
/// # Errors
/// [`ExportError`]; the archive is as it was then.
pub fn compact(
    archive: &Path,
    into: Option<&Path>,
    deleted: Deleted,
) -> Result<Vec<CompactedObject>, ExportError> {
    // Where no archive is, none is locked.
    Manifest::read(archive)?;
    let _lock = ArchiveLock::take(archive)?;
    let mut manifest = Manifest::read(archive)?;
    if manifest.format != Format::Parquet {
        return Err(ExportError::NotFoldable("only Parquet files can be folded".to_owned()));
    }
    if into.is_none() {
        adopt_unfinished(archive, &mut manifest);
        if !manifest.leftovers.is_empty() {
            remove_leftovers(archive, &mut manifest)?;
        }
    }
    let target = into.unwrap_or(archive);
    private_folder(target).map_err(ExportError::io(target, "written"))?;
    let now = jiff::Timestamp::now();
    let stem = match into {
        Some(_) => "part".to_owned(),
        // Beside the files that are there, which it must not overwrite.
        None => format!("{SNAPSHOT}{}", now.strftime("%Y%m%dT%H%M%SZ")),
    };
    let (mut objects, mut told, mut leftovers) = (Vec::new(), Vec::new(), Vec::new());
    for (entry, chain) in entries(&manifest.objects) {
        let Some(chain) = chain else {
            copy_files(archive, into, entry)?;
            objects.push(entry.clone());
            continue;
        };
        let place = fold::Place { archive, target, stem: &stem, keep: deleted == Deleted::Keep };
        let folded = fold::fold(&place, &chain, &manifest)?;
        if let Some(description) = &folded.entry.description {
            copy_file(archive, into, description)?;
        }
        leftovers.extend(outdated_files(&chain, &folded.entry));
        objects.push(folded.entry);
        told.push(folded.told);
    }
    let mut snapshot = Manifest { objects, ..manifest };
    concat!("bulkhaul ", env!("CARGO_PKG_VERSION")).clone_into(&mut snapshot.written_by);
    if into.is_none() {
        snapshot.leftovers = leftovers;
    }
    // From here on the snapshot is what the archive holds.
    snapshot.write(target)?;
    if into.is_none() {
        remove_leftovers(archive, &mut snapshot)?;
    }
    Ok(told)
}

/// Each object once, with the exports that make it up, where the first of them
/// stood; what is no export of an object by its fields by itself.
fn entries(objects: &[ManifestObject]) -> Vec<(&ManifestObject, Option<Chain<'_>>)> {
    let mut found = Vec::new();
    for (at, entry) in objects.iter().enumerate() {
        if !entry.whole {
            found.push((entry, None));
            continue;
        }
        let same = |other: &&ManifestObject| other.whole && other.object == entry.object;
        if objects[..at].iter().any(|other| same(&other)) {
            continue;
        }
        let mut outdated: Vec<&ManifestObject> = objects.iter().filter(same).collect();
        let full = outdated.iter().rposition(|export| export.since.is_none()).unwrap_or(0);
        let folded = outdated.split_off(full);
        found.push((entry, Some(Chain { folded, outdated })));
    }
    found
}

/// Files of the folded exports that the snapshot doesn't take over.
fn outdated_files(chain: &Chain<'_>, entry: &ManifestObject) -> Vec<String> {
    let taken = |path: &String| {
        entry.description.as_ref() == Some(path) || entry.files.iter().any(|f| &f.path == path)
    };
    let all = chain.outdated.iter().chain(&chain.folded);
    all.flat_map(|export| {
        export.files.iter().map(|file| file.path.clone()).chain(export.description.clone())
    })
    .filter(|path| !taken(path))
    .collect()
}

/// Takes files of a snapshot that never got into the manifest for leftovers:
/// its maker died, and nobody else is at work while the lock is held.
fn adopt_unfinished(archive: &Path, manifest: &mut Manifest) {
    let mut found: Vec<String> = Vec::new();
    for object in &manifest.objects {
        each_file(archive, &object.folder, &mut |folder, name| {
            if name.starts_with(SNAPSHOT) {
                found.push(format!("{folder}/{name}"));
            }
        });
    }
    let known = |path: &String| {
        let mut files = manifest.objects.iter().flat_map(|object| &object.files);
        files.any(|file| &file.path == path)
    };
    found.retain(|path| !known(path));
    manifest.leftovers.extend(found);
}

/// Removes what a snapshot took the place of, and forgets it.
fn remove_leftovers(archive: &Path, manifest: &mut Manifest) -> Result<(), ExportError> {
    for file in manifest.leftovers.drain(..) {
        let path = archive.join(file);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(ExportError::io(&path, "removed")(error));
            }
            _ => {}
        }
        if let Some(folder) = path.parent() {
            // Of a partition that has no more files.
            let _ = std::fs::remove_dir(folder);
        }
    }
    manifest.write(archive)
}

fn copy_files(
    archive: &Path,
    into: Option<&Path>,
    entry: &ManifestObject,
) -> Result<(), ExportError> {
    let files = entry.files.iter().map(|file| file.path.as_str());
    files.chain(entry.description.as_deref()).try_for_each(|file| copy_file(archive, into, file))
}

fn copy_file(archive: &Path, into: Option<&Path>, file: &str) -> Result<(), ExportError> {
    let Some(into) = into else { return Ok(()) };
    let (from, to): (PathBuf, PathBuf) = (archive.join(file), into.join(file));
    if let Some(folder) = to.parent() {
        private_folder(folder).map_err(ExportError::io(folder, "written"))?;
    }
    let copy = || -> std::io::Result<()> {
        let mut source = std::fs::File::open(&from)?;
        let mut target = crate::rows::private_file(&to)?;
        std::io::copy(&mut source, &mut target)?;
        target.sync_all()
    };
    copy().map_err(ExportError::io(&to, "written"))
}

/// Whether a place is free for a new archive.
///
/// # Errors
/// [`ExportError::Io`] when it can't be looked at.
pub fn is_free(path: &Path) -> Result<bool, ExportError> {
    match std::fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(ExportError::io(path, "read")(error)),
    }
}
