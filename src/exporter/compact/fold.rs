//! One object: its exports, from the last full one on, to one.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{Array as _, BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::convert::{both, instant, unified};
use super::versions::Superseded;
use super::{Chain, CompactedObject};
use crate::domain::ObjectDescription;
use crate::exporter::column::Column;
use crate::exporter::manifest::{Manifest, ManifestObject};
use crate::exporter::output::{FileFacts, Output};
use crate::exporter::parse::{Content, Parsed, Parser, Piece};
use crate::exporter::{ExportError, Marks};
use crate::rows::TemporaryFolder;

/// Records read at a time.
const BATCH: usize = 16_384;

/// Folder of what is sorted, in that of the new archive; gone in the end.
const SORTING: &str = ".bulkhaul.sorting";

/// Where it happens, and how.
pub(super) struct Place<'a> {
    pub(super) archive: &'a Path,
    pub(super) target: &'a Path,
    pub(super) stem: &'a str,
    /// Whether deleted records stay.
    pub(super) keep: bool,
}

/// A file that is folded.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) path: PathBuf,
    /// Its folder below that of the object; empty without a partition.
    pub(super) folder: String,
    pub(super) rows: u64,
}

/// The snapshot of an object.
pub(super) struct Folded {
    pub(super) entry: ManifestObject,
    pub(super) told: CompactedObject,
}

pub(super) fn fold(
    place: &Place<'_>,
    chain: &Chain<'_>,
    manifest: &Manifest,
) -> Result<Folded, ExportError> {
    let (Some(first), Some(newest)) = (chain.folded.first(), chain.folded.last()) else {
        return Err(ExportError::NotFoldable("there is no export".to_owned()));
    };
    let object = &newest.object;
    if let Some(export) =
        chain.folded.iter().find(|export| export.columns.iter().all(|column| column.name != "Id"))
    {
        return Err(ExportError::NotFoldable(format!(
            "{object} was exported without Id by run {}, so its records can't be told apart",
            export.run_id.as_deref().unwrap_or(&manifest.run_id)
        )));
    }
    let columns = columns(place.archive, &chain.folded)?;
    let inputs: Vec<Input> = chain
        .folded
        .iter()
        .flat_map(|export| export.files.iter().map(|file| input(place.archive, export, file)))
        .collect();
    let scratch = place.target.join(SORTING);
    let scratch =
        TemporaryFolder::create(&scratch).map_err(ExportError::io(&scratch, "written"))?;
    let mut superseded = Superseded::find(&inputs, first.files.len(), scratch.path())?;

    let about = HashMap::from([
        ("bulkhaul.object".to_owned(), object.clone()),
        ("bulkhaul.soql".to_owned(), newest.soql.clone()),
        ("bulkhaul.org".to_owned(), manifest.org.id.clone()),
        ("bulkhaul.api_version".to_owned(), manifest.api_version.clone()),
        ("bulkhaul.compacted".to_owned(), runs(chain, manifest).join(",")),
    ]);
    // The records lie in their folders already.
    let parser = Parser::new(columns.clone(), about, manifest.format, None)?;
    let many = manifest.partition_by.is_some();
    let output = Output::new(
        place.target,
        &newest.folder,
        place.stem,
        if many { parser.of_many_folders() } else { parser },
        manifest.options,
        1,
    );
    let mut writing = Writing { output, files: Vec::new(), row: 0, old: 0, deleted: 0, place };
    let folder = place.target.join(&newest.folder);
    crate::rows::private_folder(&folder).map_err(ExportError::io(&folder, "written"))?;
    for input in &inputs {
        writing.input(input, &columns, &mut superseded)?;
    }
    let (files, old, deleted) = writing.end()?;

    let rows: u64 = files.iter().map(|file| file.rows).sum();
    let outdated: u64 = chain.outdated.iter().map(|export| export.rows).sum();
    let told = CompactedObject {
        object: object.clone(),
        exports: chain.folded.len() + chain.outdated.len(),
        before: outdated + inputs.iter().map(|input| input.rows).sum::<u64>(),
        superseded: outdated + old,
        deleted,
        records: rows,
        files: files.len(),
    };
    let entry = ManifestObject {
        since: first.since.clone(),
        columns: columns.iter().map(Into::into).collect(),
        rows,
        rows_by_jobs: chain.folded.iter().map(|export| export.rows_by_jobs).sum(),
        unfit_values: chain.folded.iter().map(|export| export.unfit_values).sum(),
        jobs: Vec::new(),
        counted: None,
        evolved: Vec::new(),
        compacted: runs(chain, manifest),
        files,
        ..(*newest).clone()
    };
    Ok(Folded { entry, told })
}

/// The runs whose records are in the snapshot.
fn runs(chain: &Chain<'_>, manifest: &Manifest) -> Vec<String> {
    let mut runs: Vec<String> = Vec::new();
    for export in &chain.folded {
        let own = export.run_id.as_ref().unwrap_or(&manifest.run_id);
        let earlier = export.compacted.iter().chain([own]).cloned();
        runs.extend(earlier.filter(|run| !runs.contains(run)).collect::<Vec<_>>());
    }
    runs
}

fn input(archive: &Path, export: &ManifestObject, file: &FileFacts) -> Input {
    let below = file.path.strip_prefix(&export.folder).unwrap_or(&file.path);
    let folder = below.trim_start_matches('/').rsplit_once('/').map_or("", |(folder, _)| folder);
    Input { path: archive.join(&file.path), folder: folder.to_owned(), rows: file.rows }
}

/// The columns of all exports: those of the newest first, each of a kind that
/// holds what all have in it.
fn columns(archive: &Path, exports: &[&ManifestObject]) -> Result<Vec<Column>, ExportError> {
    let mut columns: Vec<Column> = Vec::new();
    for export in exports.iter().rev() {
        let description = match &export.description {
            Some(file) => {
                let path = archive.join(file);
                let text = std::fs::read(&path).map_err(ExportError::io(&path, "read"))?;
                let description: ObjectDescription = serde_json::from_slice(&text)
                    .map_err(|source| ExportError::Manifest { path, source })?;
                Some(description)
            }
            None => None,
        };
        for column in &export.columns {
            if let Some(known) = columns.iter_mut().find(|known| known.name == column.name) {
                known.kind = both(known.kind, column.kind);
                continue;
            }
            let field = description.as_ref().and_then(|object| object.field(&column.name));
            columns.push(Column {
                name: column.name.clone(),
                field: field.cloned(),
                kind: column.kind,
            });
        }
    }
    Ok(columns)
}

/// The files of a snapshot under way.
struct Writing<'a> {
    output: Output,
    files: Vec<FileFacts>,
    /// Rows met, through all files.
    row: u64,
    old: u64,
    deleted: u64,
    place: &'a Place<'a>,
}

impl Writing<'_> {
    fn input(
        &mut self,
        input: &Input,
        columns: &[Column],
        superseded: &mut Superseded,
    ) -> Result<(), ExportError> {
        let path = &input.path;
        let failed = |source| ExportError::Parquet { path: path.clone(), action: "read", source };
        let file = File::open(path).map_err(ExportError::io(path, "read"))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|builder| builder.with_batch_size(BATCH).build())
            .map_err(failed)?;
        let from = self.row;
        for batch in reader {
            let batch = batch.map_err(|error| failed(error.into()))?;
            let kept = self.kept(&batch, superseded)?;
            self.row += batch.num_rows() as u64;
            let batch = filter_record_batch(&batch, &kept)
                .map_err(|error| ExportError::Schema(error.to_string()))?;
            if batch.num_rows() == 0 {
                continue;
            }
            let batch = unified(&batch, columns, self.output.parser().schema())?;
            let (rows, marks) = (batch.num_rows() as u64, marks(&batch));
            let content = Content::Columns(batch);
            let piece = Piece { folder: input.folder.clone(), content, rows, marks };
            self.output.write(Parsed { pieces: vec![piece], unfit: Vec::new(), rows })?;
            if self.output.is_full() {
                self.files.extend(self.output.finish_files()?);
            }
        }
        if self.row - from != input.rows {
            let what = format!("it has {} records, not {}", self.row - from, input.rows);
            return Err(ExportError::Damaged { path: path.clone(), what });
        }
        Ok(())
    }

    /// Which rows of a batch go into the snapshot.
    fn kept(
        &mut self,
        batch: &RecordBatch,
        superseded: &mut Superseded,
    ) -> Result<BooleanArray, ExportError> {
        let gone = match batch.column_by_name("IsDeleted") {
            Some(column) if !self.place.keep => column.as_boolean_opt(),
            _ => None,
        };
        let mut kept = Vec::with_capacity(batch.num_rows());
        for at in 0..batch.num_rows() {
            let old = superseded
                .has(self.row + at as u64)
                .map_err(ExportError::io(self.place.target, "read"))?;
            let deleted = gone.is_some_and(|gone| gone.is_valid(at) && gone.value(at));
            self.old += u64::from(old);
            self.deleted += u64::from(!old && deleted);
            kept.push(!old && !deleted);
        }
        Ok(kept.into())
    }

    fn end(mut self) -> Result<(Vec<FileFacts>, u64, u64), ExportError> {
        if self.files.is_empty() {
            // For no records, too, there is a file with the schema.
            self.output.begin()?;
        }
        self.files.extend(self.output.finish_files()?);
        Ok((self.files, self.old, self.deleted))
    }
}

/// The range of ids and times of change in a batch.
fn marks(batch: &RecordBatch) -> Marks {
    let mut marks = Marks::default();
    if let Some(ids) = batch.column_by_name("Id").and_then(|ids| ids.as_string_opt::<i32>()) {
        marks.ids = range(ids.iter().flatten());
    }
    if let Some(changed) = batch.column_by_name("SystemModstamp") {
        if let Some(at) = changed.as_primitive_opt::<TimestampMillisecondType>() {
            let (least, greatest) = (at.iter().flatten().min(), at.iter().flatten().max());
            marks.changed = least.and_then(instant).zip(greatest.and_then(instant));
        } else if let Some(texts) = changed.as_string_opt::<i32>() {
            marks.changed = range(texts.iter().flatten());
        }
    }
    marks
}

fn range<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> Option<(String, String)> {
    let (least, greatest) = (texts.clone().min(), texts.max());
    least.map(str::to_owned).zip(greatest.map(str::to_owned))
}
