//! An archive against its manifest: every file there, byte for byte, with the
//! records it is said to hold.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;

use parquet::file::reader::FileReader as _;
use parquet::file::serialized_reader::SerializedFileReader;
use rayon::prelude::*;

use super::ExportError;
use super::manifest::Manifest;
use super::output::{FileFacts, Format, Packing};
use super::page::Page;
use crate::rows::sha256;

/// What is wrong with an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, relative to the archive.
    pub file: String,
    /// What is wrong, as a clause.
    pub what: String,
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Files looked at.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their records.
    pub rows: u64,
    /// What is wrong; empty if all is well.
    pub findings: Vec<Finding>,
}

/// Reads every file of an archive, several at a time.
///
/// # Errors
/// [`ExportError`] when the manifest can't be read. What is wrong with files
/// is found, not an error.
pub fn verify(archive: &Path) -> Result<Verified, ExportError> {
    let manifest = Manifest::read(archive)?;
    let mut verified = Verified::default();
    let files: Vec<&FileFacts> = manifest.objects.iter().flat_map(|object| &object.files).collect();
    let looked: Vec<(u64, u64, Option<String>)> = files
        .par_iter()
        .map(|facts| {
            let path = archive.join(&facts.path);
            match look(&path, facts, manifest.format, manifest.options.packing) {
                Ok(bytes) => (bytes, facts.rows, None),
                Err(what) => (0, 0, Some(what)),
            }
        })
        .collect();
    for (facts, (bytes, rows, what)) in files.iter().zip(looked) {
        verified.files += 1;
        verified.bytes += bytes;
        verified.rows += rows;
        if let Some(what) = what {
            verified.findings.push(Finding { file: facts.path.clone(), what });
        }
    }
    for object in &manifest.objects {
        let rows: u64 = object.files.iter().map(|file| file.rows).sum();
        if rows != object.rows {
            let what =
                format!("{} has {rows} records in its files, not {}", object.object, object.rows);
            verified.findings.push(Finding { file: super::manifest::FILE_NAME.to_owned(), what });
        }
    }
    verified.findings.extend(strangers(archive, &manifest));
    Ok(verified)
}

/// Looks at one file; its bytes, or what is wrong with it.
fn look(path: &Path, facts: &FileFacts, format: Format, packing: Packing) -> Result<u64, String> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "it is missing".to_owned(),
        _ => format!("it can't be read: {error}"),
    };
    let file = File::open(path).map_err(unreadable)?;
    let (bytes, digest) = sha256(file).map_err(unreadable)?;
    if bytes != facts.bytes {
        return Err(format!("it has {bytes} bytes, not {}", facts.bytes));
    }
    if digest != facts.sha256 {
        return Err("its bytes are not those that were written (SHA-256)".to_owned());
    }
    let rows = rows(path, format, packing)?;
    if rows != facts.rows {
        return Err(format!("it has {rows} records, not {}", facts.rows));
    }
    Ok(bytes)
}

/// Counts the records of a file by reading it.
fn rows(path: &Path, format: Format, packing: Packing) -> Result<u64, String> {
    let unreadable = |error: io::Error| format!("it can't be read: {error}");
    let open = || File::open(path).map_err(unreadable);
    match format {
        Format::Parquet => {
            let reader = SerializedFileReader::new(open()?).map_err(|error| error.to_string())?;
            let rows = reader.metadata().file_metadata().num_rows();
            u64::try_from(rows).map_err(|error| error.to_string())
        }
        Format::Csv => {
            let records = Page::count_in(unpacked(open()?, packing).map_err(unreadable)?, path);
            records.map_err(|error| error.to_string())
        }
        Format::Jsonl => {
            let read = unpacked(open()?, packing).map_err(unreadable)?;
            let mut lines = 0;
            let mut read = BufReader::with_capacity(256 << 10, read);
            let mut line = Vec::new();
            loop {
                line.clear();
                if read.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
                    return Ok(lines);
                }
                lines += 1;
            }
        }
    }
}

fn unpacked(file: File, packing: Packing) -> io::Result<Box<dyn Read + Send>> {
    Ok(match packing {
        Packing::None => Box::new(file),
        Packing::Gzip => Box::new(flate2::read::MultiGzDecoder::new(file)),
        Packing::Zstd => Box::new(zstd::Decoder::new(file)?),
    })
}

/// Data files that the manifest doesn't know.
fn strangers(archive: &Path, manifest: &Manifest) -> Vec<Finding> {
    let known: BTreeSet<&str> = manifest
        .objects
        .iter()
        .flat_map(|object| object.files.iter().map(|file| file.path.as_str()))
        .collect();
    let extension = format!(".{}", manifest.format.extension(manifest.options.packing));
    let mut findings = Vec::new();
    let folders: BTreeSet<&str> =
        manifest.objects.iter().map(|object| object.folder.as_str()).collect();
    let mut look = |folder: &str, name: &str| {
        let path = format!("{folder}/{name}");
        if name.ends_with(&extension) && !known.contains(path.as_str()) {
            let what = if manifest.leftovers.contains(&path) {
                "a snapshot took its place; `bulkhaul compact` removes it".to_owned()
            } else {
                "the manifest doesn't know it".to_owned()
            };
            findings.push(Finding { file: path, what });
        }
    };
    for folder in folders {
        each_file(archive, folder, &mut look);
    }
    findings
}

/// Goes through the files of a folder and of those in it, which partitions
/// make.
pub(super) fn each_file(archive: &Path, folder: &str, look: &mut dyn FnMut(&str, &str)) {
    let Ok(entries) = std::fs::read_dir(archive.join(folder)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            each_file(archive, &format!("{folder}/{name}"), look);
        } else {
            look(folder, &name);
        }
    }
}
