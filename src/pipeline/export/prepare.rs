//! Before an export: what is asked for, against what the org describes. All
//! problems at once, and nothing is made before there are none.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use glob::Pattern;
use serde::{Deserialize, Serialize};

use super::since::{Earlier, Since};
use super::soql;
use super::split::{self, Split};
use super::visibility;
use crate::domain::{Field, FieldType, ObjectDescription, nearest};
use crate::exporter::column::{TypeOptions, is_exportable, type_word};
use crate::exporter::manifest::{self, LeftOut, UserSees};
use crate::exporter::output::OutputOptions;
use crate::exporter::partition::{Partition, PartitionBy};
use crate::salesforce::{CallError, Org};

/// Objects that are exported at most in one run.
const MOST_OBJECTS: usize = 2_000;

/// Objects whose archived records a plain query leaves out ("Query All", REST
/// API guide): they are asked for with the deleted ones, and those left out by
/// a condition.
const ARCHIVING: [&str; 2] = ["Task", "Event"];

/// What an export is to do, as the user said.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExportRequest {
    /// Objects and queries.
    pub targets: Vec<ExportTarget>,
    /// Every object that can be queried, besides.
    pub all_objects: bool,
    /// Of these, only those with such a name.
    pub include: Vec<String>,
    /// Of these, none with such a name.
    pub exclude: Vec<String>,
    /// The archive's folder.
    pub out: PathBuf,
    /// Whether an archive that is there goes first.
    pub overwrite: bool,
    /// Deleted records, too.
    pub deleted: bool,
    /// Formula fields, too.
    pub formulas: bool,
    /// How values are kept.
    pub types: TypeOptions,
    /// How files are made.
    pub output: OutputOptions,
    /// How they are spread over folders.
    #[serde(default)]
    pub partition: Option<Partition>,
    /// Whether the archive that is there gets more.
    #[serde(default)]
    pub append: bool,
    /// Only records changed since then.
    #[serde(default)]
    pub since: Option<Since>,
    /// By how much an increment reaches back behind the last export.
    #[serde(default)]
    pub lookback: Duration,
    /// Into how many query jobs an object is split; one without it.
    #[serde(default)]
    pub split: Option<Split>,
    /// Pages fetched at a time.
    pub lanes: usize,
    /// Records of a page at most; the org's own number without it.
    pub page_records: Option<u64>,
    /// Whether the org counts the records before and after.
    pub count: bool,
    /// How long it may take before it detaches.
    pub max_wait: Option<Duration>,
    /// Where the run's folder is made.
    pub runs_dir: PathBuf,
}

/// One object or one query.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ExportTarget {
    /// The object; of a query, what it says itself.
    pub object: Option<String>,
    /// The whole query.
    pub soql: Option<String>,
    /// The fields; all that can be exported if empty.
    pub fields: Vec<String>,
    /// The condition behind WHERE.
    pub filter: Option<String>,
    /// Records at most.
    pub limit: Option<u64>,
}

/// An object of an export, ready to begin.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedObject {
    /// API name in exact case.
    pub object: String,
    /// Folder of its files in the archive.
    pub folder: String,
    /// The query.
    pub soql: String,
    /// Whether deleted and archived records are asked for.
    pub all_records: bool,
    /// Its description.
    pub description: ObjectDescription,
    /// Fields left out, and why.
    pub left_out: Vec<LeftOut>,
    /// Whether it is the object by its fields with no limit, not a query of the
    /// user's own.
    pub whole: bool,
    /// The user's condition.
    pub filter: Option<String>,
    /// Of an increment: from when on its records are.
    pub since: Option<String>,
    /// The queries of its parts.
    pub parts: Vec<String>,
}

/// An export, ready to begin.
#[derive(Debug)]
pub struct PreparedExport {
    /// What was asked for.
    pub request: ExportRequest,
    /// The org.
    pub org: Org,
    /// The objects, in order.
    pub objects: Vec<PreparedObject>,
    /// Objects of `all_objects` that can't be exported, and why.
    pub not_exported: Vec<LeftOut>,
    /// What the user may see.
    pub user_sees: UserSees,
    /// What a person should know before it begins.
    pub notes: Vec<String>,
}

/// Why an export doesn't begin. Nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum ExportRefusal {
    /// The org didn't answer a question, or refused it.
    #[error("the org can't be asked")]
    Call(#[source] CallError),
    /// What is asked for can't be done.
    #[error("this export can't work")]
    Problems(Vec<String>),
    /// Something is where the archive is to be.
    #[error("{} is not empty", path.display())]
    Exists {
        /// The place.
        path: PathBuf,
        /// Whether an archive is there.
        archive: bool,
    },
    /// The place of the archive can't be looked at.
    #[error("{} can't be used", path.display())]
    Io {
        /// The place.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl From<CallError> for ExportRefusal {
    fn from(error: CallError) -> Self {
        ExportRefusal::Call(error)
    }
}

/// Describes the objects, writes the queries and looks at the place of the
/// archive.
///
/// # Errors
/// [`ExportRefusal`].
pub async fn prepare_export(
    request: ExportRequest,
    org: Org,
) -> Result<PreparedExport, ExportRefusal> {
    check_place(&request)?;
    let earlier = Earlier::open(&request, &org.identity().org_id)?;
    let mut targets = request.targets.clone();
    let mut not_exported = Vec::new();
    if request.all_objects {
        let named: Vec<String> =
            targets.iter().filter_map(|target| target.object.clone()).collect();
        for object in listed(&request, &org).await? {
            if !named.iter().any(|name| name.eq_ignore_ascii_case(&object)) {
                targets.push(ExportTarget { object: Some(object), ..ExportTarget::default() });
            }
        }
    }
    if targets.len() > MOST_OBJECTS {
        return Err(ExportRefusal::Problems(vec![format!(
            "{} objects are more than one run takes ({MOST_OBJECTS}); leave some out with --exclude",
            targets.len()
        )]));
    }
    let mut described: BTreeMap<String, ObjectDescription> = BTreeMap::new();
    let (mut objects, mut problems, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for target in &targets {
        let of_query = target.soql.as_deref().map(soql::object_of);
        let Some(name) = of_query.unwrap_or_else(|| target.object.clone()) else {
            problems.push("--soql: no FROM with an object in it".to_owned());
            continue;
        };
        let key = name.to_ascii_lowercase();
        if !described.contains_key(&key) {
            match org.describe(&name).await {
                Ok(description) => drop(described.insert(key.clone(), description)),
                Err(error) if error.is_not_found() => {
                    problems.push(unknown_object(&org, &name).await);
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let Some(description) = described.get(&key) else { continue };
        let by_itself = request.all_objects && target.soql.is_none() && target.fields.is_empty();
        if !description.queryable {
            let reason = "it can't be queried".to_owned();
            if by_itself {
                not_exported.push(LeftOut { field: description.name.clone(), reason });
            } else {
                problems.push(format!("{}: {reason}", description.name));
            }
            continue;
        }
        match object(&request, target, description, &earlier, &mut notes) {
            Ok(object) => objects.push(object),
            Err(more) => problems.extend(more),
        }
    }
    if problems.is_empty() && objects.is_empty() {
        problems.push("no object is left to export".to_owned());
    }
    if !problems.is_empty() {
        return Err(ExportRefusal::Problems(problems));
    }
    name_folders(&mut objects);
    if let Some(split) = request.split {
        for object in &mut objects {
            object.parts = split::parts(&org, &object.soql, object.all_records, split).await?;
        }
    }
    let user_sees = visibility::user_sees(&org).await;
    notes.extend(visibility::notes(user_sees, objects.iter().map(|object| object.object.as_str())));
    Ok(PreparedExport { request, org, objects, not_exported, user_sees, notes })
}

/// The objects of `--all-objects` by their names.
async fn listed(request: &ExportRequest, org: &Org) -> Result<Vec<String>, ExportRefusal> {
    let patterns = |globs: &[String], flag: &str| -> Result<Vec<Pattern>, ExportRefusal> {
        globs
            .iter()
            .map(|glob| {
                Pattern::new(glob).map_err(|error| {
                    ExportRefusal::Problems(vec![format!("{flag} {glob}: {error}")])
                })
            })
            .collect()
    };
    let include = patterns(&request.include, "--include")?;
    let exclude = patterns(&request.exclude, "--exclude")?;
    let options = glob::MatchOptions { case_sensitive: false, ..glob::MatchOptions::new() };
    let fits = |patterns: &[Pattern], name: &str| {
        patterns.iter().any(|pattern| pattern.matches_with(name, options))
    };
    Ok(org
        .objects()
        .await?
        .into_iter()
        .filter(|object| object.queryable)
        .map(|object| object.name)
        .filter(|name| include.is_empty() || fits(&include, name))
        .filter(|name| !fits(&exclude, name))
        .collect())
}

async fn unknown_object(org: &Org, name: &str) -> String {
    let known = org.objects().await.unwrap_or_default();
    let guess = nearest(name, known.iter().map(|object| object.name.as_str()));
    let guess = guess.map(|guess| format!("; {guess}?")).unwrap_or_default();
    format!("there is no object {name}, or this user may not see it{guess}")
}

/// The query of a target.
fn object(
    request: &ExportRequest,
    target: &ExportTarget,
    description: &ObjectDescription,
    earlier: &Earlier,
    notes: &mut Vec<String>,
) -> Result<PreparedObject, Vec<String>> {
    let name = &description.name;
    let (mut left_out, mut since) = (Vec::new(), None);
    let mut all_records = request.deleted;
    let soql = if let Some(soql) = &target.soql {
        soql.trim().trim_end_matches(';').to_owned()
    } else {
        let fields = if target.fields.is_empty() {
            all_fields(request, description, &mut left_out)
        } else {
            named_fields(&target.fields, description)?
        };
        if fields.is_empty() {
            return Err(vec![format!("{name}: this user may see no field that can be exported")]);
        }
        let mut conditions: Vec<String> = Vec::new();
        if let Some(filter) = &target.filter {
            conditions.push(filter.clone());
        }
        let archives = ARCHIVING.iter().any(|archiving| archiving.eq_ignore_ascii_case(name));
        if archives && !request.deleted {
            all_records = true;
            conditions.push("IsDeleted = false".to_owned());
        }
        let bound =
            earlier.bound(request, description, target.filter.as_deref()).map_err(|e| vec![e])?;
        notes.extend(bound.notes);
        if let Some((condition, at)) = bound.from {
            conditions.push(condition);
            since = Some(at);
        }
        let mut soql = format!("SELECT {} FROM {name}", fields.join(", "));
        // Writing into memory can't fail.
        let _ = match conditions.as_slice() {
            [] => Ok(()),
            [one] => write!(soql, " WHERE {one}"),
            [one, rest @ ..] => write!(soql, " WHERE ({one}) AND {}", rest.join(" AND ")),
        };
        if let Some(limit) = target.limit {
            let _ = write!(soql, " LIMIT {limit}");
        }
        soql
    };
    if let Some(partition) = &request.partition {
        check_partition(partition, &soql, description)?;
    }
    Ok(PreparedObject {
        object: name.clone(),
        folder: name.clone(),
        parts: vec![soql.clone()],
        soql,
        all_records,
        description: description.clone(),
        left_out,
        whole: target.soql.is_none() && target.limit.is_none(),
        filter: target.filter.clone(),
        since,
    })
}

/// Whether folders can be made by this field of what is selected.
fn check_partition(
    partition: &Partition,
    query: &str,
    description: &ObjectDescription,
) -> Result<(), Vec<String>> {
    let (name, object) = (&partition.field, &description.name);
    if !soql::selected(query).iter().any(|column| column.eq_ignore_ascii_case(name)) {
        return Err(vec![format!(
            "--partition-by {partition}: {object} is exported without {name}"
        )]);
    }
    let dated = description
        .field_ignoring_case(name)
        .is_none_or(|field| matches!(field.field_type, FieldType::Date | FieldType::DateTime));
    if partition.by != PartitionBy::Value && !dated {
        return Err(vec![format!("--partition-by {partition}: {object}.{name} is no date")]);
    }
    Ok(())
}

fn all_fields(
    request: &ExportRequest,
    description: &ObjectDescription,
    left_out: &mut Vec<LeftOut>,
) -> Vec<String> {
    let mut leave = |field: &Field, reason: &str| {
        left_out.push(LeftOut { field: field.name.clone(), reason: reason.to_owned() });
        false
    };
    let wanted = |field: &&Field| {
        if !is_exportable(field) {
            let kind = type_word(field.field_type);
            return leave(field, &format!("a bulk query carries no fields of type {kind}"));
        }
        if field.calculated && !request.formulas {
            return leave(field, "a formula; --formulas exports it");
        }
        true
    };
    description.fields.iter().filter(wanted).map(|field| field.name.clone()).collect()
}

/// The fields a user names: those of the object in exact case, and paths
/// through lookups as they stand, which the org judges.
fn named_fields(
    names: &[String],
    description: &ObjectDescription,
) -> Result<Vec<String>, Vec<String>> {
    let (mut fields, mut problems) = (Vec::new(), Vec::new());
    for name in names {
        let object = &description.name;
        if let Some((relationship, _)) = name.split_once('.') {
            if description.relationship(relationship).is_some() {
                fields.push(name.clone());
            } else {
                problems.push(format!("{object} has no relationship {relationship} ({name})"));
            }
            continue;
        }
        match description.field_ignoring_case(name) {
            Some(field) if is_exportable(field) => fields.push(field.name.clone()),
            Some(field) => problems.push(format!(
                "{object}.{}: a bulk query carries no fields of type {}",
                field.name,
                type_word(field.field_type)
            )),
            None => {
                let known = description.fields.iter().map(|field| field.name.as_str());
                let guess = nearest(name, known).map(|g| format!("; {g}?")).unwrap_or_default();
                problems.push(format!(
                    "{object} has no field {name}, or this user may not see it{guess}"
                ));
            }
        }
    }
    if problems.is_empty() { Ok(fields) } else { Err(problems) }
}

/// Two queries of one object have a folder each.
fn name_folders(objects: &mut [PreparedObject]) {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for object in objects {
        let times = seen.entry(object.object.to_ascii_lowercase()).or_default();
        *times += 1;
        if *times > 1 {
            object.folder = format!("{}-{times}", object.object);
        }
    }
}

/// Refuses a place in which something is.
fn check_place(request: &ExportRequest) -> Result<(), ExportRefusal> {
    let path = &request.out;
    let failed = |source| ExportRefusal::Io { path: path.clone(), source };
    let mut entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if entries.next().is_none() {
        return Ok(());
    }
    let archive = path.join(manifest::FILE_NAME).is_file();
    if archive && (request.overwrite || request.append) {
        return Ok(());
    }
    Err(ExportRefusal::Exists { path: path.clone(), archive })
}

/// Removes the archive that is in the way: what its manifest names, and
/// nothing else.
///
/// # Errors
/// What the system said.
pub(super) fn clear_place(path: &Path) -> io::Result<()> {
    let Ok(old) = manifest::Manifest::read(path) else { return Ok(()) };
    // The manifest first: what is half gone is no archive.
    std::fs::remove_file(path.join(manifest::FILE_NAME))?;
    for object in &old.objects {
        let files = object.files.iter().map(|file| file.path.as_str());
        for file in files.chain(object.description.as_deref()) {
            match std::fs::remove_file(path.join(file)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        // Only if nothing of somebody else's is in them.
        for file in &object.files {
            if let Some(folder) = path.join(&file.path).parent() {
                let _ = std::fs::remove_dir(folder);
            }
        }
        let _ = std::fs::remove_dir(path.join(&object.folder));
    }
    Ok(())
}
