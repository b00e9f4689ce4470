//! The journal of an org that isn't running: what every row of every job did,
//! read from its folder.

use std::ops::ControlFlow;
use std::path::Path;

use super::catalogue::Catalogue;
use super::ingest::JournalEntry;
use super::org::{LocalOrgError, lock_folder};
use super::store::{Store, StoreError};

/// Visits what every row of every job did to the records of an object, oldest
/// first, until the visitor has enough. The folder is locked meanwhile.
///
/// # Errors
/// When no org is in the folder, another process has it, the org has no such
/// object, or its files can't be read.
pub fn read_journal(
    dir: &Path,
    object: &str,
    visit: &mut dyn FnMut(JournalEntry) -> ControlFlow<()>,
) -> Result<(), LocalOrgError> {
    if !dir.join("records.sqlite").is_file() {
        return Err(LocalOrgError::NoOrg { path: dir.to_owned() });
    }
    let _lock = lock_folder(dir)?;
    let catalogue = Catalogue::open(Some(dir))?;
    let object = catalogue.object(object).ok_or_else(|| StoreError::NoObject(object.to_owned()))?;
    Store::visit_journal(dir, object, &mut |effect| visit(JournalEntry::of(object, effect)))?;
    Ok(())
}
