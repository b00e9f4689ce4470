//! What lies in an archive: `manifest.json`, written when the export is done.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::ExportError;
use super::column::{Column, ColumnKind, type_word};
use super::output::{FileFacts, Format, OutputOptions};
use super::partition::Partition;

/// Name of the manifest in an archive's folder.
pub const FILE_NAME: &str = "manifest.json";

/// The version of the manifest's form; fields are added, never renamed.
pub const VERSION: u32 = 1;

/// The manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`VERSION`].
    pub manifest_version: u32,
    /// The program that wrote it.
    pub written_by: String,
    /// The run that made it, or added to it last.
    pub run_id: String,
    /// Where the records came from.
    pub org: ManifestOrg,
    /// API version of all calls.
    pub api_version: String,
    /// When the export began, or the last one that added to it.
    pub started_at: String,
    /// When it was done.
    pub finished_at: String,
    /// All runs, the first one first.
    #[serde(default)]
    pub runs: Vec<ManifestRun>,
    /// What the files are.
    pub format: Format,
    /// How they were made.
    pub options: OutputOptions,
    /// How they are spread over folders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_by: Option<Partition>,
    /// The objects, in the order they were exported in.
    pub objects: Vec<ManifestObject>,
    /// Objects that can't be exported, and why.
    pub not_exported: Vec<LeftOut>,
    /// Files whose place a snapshot took, and which are about to be removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<String>,
}

/// What the user of an export may see; `None` where the org doesn't tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSees {
    /// Every record: "View All Data". Without it, those shared with the user.
    pub view_all_data: Option<bool>,
    /// Every file: "Query All Files". Without it, the user's own and those
    /// shared with it.
    pub query_all_files: Option<bool>,
}

/// A run that wrote into an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestRun {
    /// Its id.
    pub run_id: String,
    /// The program.
    pub written_by: String,
    /// API version of all its calls.
    pub api_version: String,
    /// Login name of the user.
    pub username: String,
    /// What the user may see.
    #[serde(default)]
    pub user_sees: UserSees,
    /// When it began.
    pub started_at: String,
    /// When it was done.
    pub finished_at: String,
}

/// The org an archive is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestOrg {
    /// Organization id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Instance URL.
    pub url: String,
    /// Login name of the user.
    pub username: String,
    /// Whether it is a production org.
    pub production: bool,
}

/// An object of an archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestObject {
    /// API name.
    pub object: String,
    /// Folder of its files.
    pub folder: String,
    /// The run that exported it; that of the manifest if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The query, as it was asked.
    pub soql: String,
    /// Whether it is the object by its fields with no limit, not a query of the
    /// user's own.
    #[serde(default)]
    pub whole: bool,
    /// The condition of the user, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Of an increment: only records changed since then are in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// How its columns differ from those the object had before in the archive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evolved: Vec<String>,
    /// The runs whose records were folded into it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compacted: Vec<String>,
    /// Whether deleted records were asked for.
    pub deleted: bool,
    /// The query jobs; none where they refuse the object.
    pub jobs: Vec<String>,
    /// Whether it came by REST queries instead.
    #[serde(default)]
    pub by_rest: bool,
    /// The org's clock when the export of it began: what changed later may be
    /// missing.
    pub watermark: Option<String>,
    /// The columns of its files.
    pub columns: Vec<ManifestColumn>,
    /// Fields left out, and why.
    pub left_out: Vec<LeftOut>,
    /// Fields that the object has and the user may not see; `None` where the
    /// org doesn't tell.
    #[serde(default)]
    pub hidden_fields: Option<Vec<String>>,
    /// Records in its files.
    pub rows: u64,
    /// Records by the org's own count of its jobs.
    pub rows_by_jobs: u64,
    /// What `COUNT()` said before and after, if it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Counted>,
    /// Values that had no place in their column.
    pub unfit_values: u64,
    /// Its files, in order.
    pub files: Vec<FileFacts>,
    /// Its description as the org gave it, relative to the archive.
    pub description: Option<String>,
}

/// What the org counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Before the export.
    pub before: u64,
    /// After it.
    pub after: u64,
}

/// A column of an object's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestColumn {
    /// Its name.
    pub name: String,
    /// How its values are kept.
    #[serde(flatten)]
    pub kind: ColumnKind,
    /// The field's type, by describe; empty if it isn't known.
    pub field_type: String,
    /// The field's label.
    pub label: String,
}

impl From<&Column> for ManifestColumn {
    fn from(column: &Column) -> Self {
        let field = column.field.as_ref();
        ManifestColumn {
            name: column.name.clone(),
            kind: column.kind,
            field_type: field.map(|field| type_word(field.field_type)).unwrap_or_default(),
            label: field.map(|field| field.label.clone()).unwrap_or_default(),
        }
    }
}

/// A field that is not in the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its name.
    pub field: String,
    /// Why.
    pub reason: String,
}

impl Manifest {
    /// Reads the manifest of an archive.
    ///
    /// # Errors
    /// [`ExportError::Io`], [`ExportError::Manifest`].
    pub fn read(archive: &Path) -> Result<Self, ExportError> {
        let path = archive.join(FILE_NAME);
        let text = std::fs::read(&path).map_err(ExportError::io(&path, "read"))?;
        serde_json::from_slice(&text).map_err(|source| ExportError::Manifest { path, source })
    }

    /// Writes it into an archive: whole, or not at all.
    ///
    /// # Errors
    /// [`ExportError::Io`].
    pub fn write(&self, archive: &Path) -> Result<(), ExportError> {
        write_json(&archive.join(FILE_NAME), &serde_json::to_value(self).unwrap_or_default())
    }
}

/// Writes JSON for people and machines: whole, or not at all.
///
/// # Errors
/// [`ExportError::Io`].
pub fn write_json(path: &Path, value: &Json) -> Result<(), ExportError> {
    use std::io::Write as _;
    let on_the_way = path.with_extension("json.incomplete");
    let write = || -> std::io::Result<()> {
        let mut file = crate::rows::private_file(&on_the_way)?;
        let mut text = serde_json::to_vec_pretty(value)?;
        text.push(b'\n');
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&on_the_way, path)?;
        crate::rows::sync_folder(path)
    };
    write().map_err(ExportError::io(path, "written"))
}
