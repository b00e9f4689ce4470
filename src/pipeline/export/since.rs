//! Increments: which records an export leaves out because an earlier one has
//! them, and what the archive must be like to get more.

use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::ExportRefusal;
use super::prepare::ExportRequest;
use crate::domain::ObjectDescription;
use crate::exporter::ExportError;
use crate::exporter::manifest::{Manifest, ManifestColumn, ManifestObject};

/// Fields that tell when a record was changed, the best one first: the system's
/// own, which nobody can set and which moves with a deletion, too
/// ("System Fields", Object Reference).
const CHANGED: [&str; 3] = ["SystemModstamp", "LastModifiedDate", "CreatedDate"];

/// Days that the recycle bin keeps a record ("Recycle Bin", Salesforce help);
/// of what is gone from it no query tells.
const BIN_DAYS: i64 = 15;

/// From when on changed records are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Since {
    /// From the last export of the object into the archive.
    Last,
    /// From an instant.
    At(Timestamp),
}

/// A text that says neither `last` nor when.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("neither `last` nor a day (2026-11-01) nor an instant (2026-11-01T04:00:00Z)")]
pub struct NoInstant;

impl FromStr for Since {
    type Err = NoInstant;

    fn from_str(text: &str) -> Result<Self, NoInstant> {
        if text.eq_ignore_ascii_case("last") {
            return Ok(Since::Last);
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Since::At(at));
        }
        // A time of day without a zone is no instant, and no day either.
        let day = text.parse::<Date>().ok().filter(|_| text.len() == "2026-11-01".len());
        let day = day.ok_or(NoInstant)?;
        let at = TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).map_err(|_| NoInstant)?;
        Ok(Since::At(at))
    }
}

/// The field by which changes of an object are known.
pub(super) fn changed_field(description: &ObjectDescription) -> Option<&str> {
    CHANGED
        .iter()
        .find_map(|name| description.field_ignoring_case(name))
        .map(|field| field.name.as_str())
}

/// What an object's query leaves out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bound {
    /// The condition, and the instant in it.
    pub(super) from: Option<(String, String)>,
    /// What a person should know of it.
    pub(super) notes: Vec<String>,
}

/// The archive that gets more.
#[derive(Debug)]
pub(super) struct Earlier(Option<Manifest>);

impl Earlier {
    /// Reads the archive that an export adds to, and looks whether it may.
    pub(super) fn open(request: &ExportRequest, org_id: &str) -> Result<Earlier, ExportRefusal> {
        if !request.append {
            return Ok(Earlier(None));
        }
        let manifest = match Manifest::read(&request.out) {
            Ok(manifest) => manifest,
            Err(ExportError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                return Ok(Earlier(None));
            }
            Err(error) => {
                return Err(ExportRefusal::Problems(vec![crate::domain::error_chain(&error)]));
            }
        };
        let mut problems = Vec::new();
        if manifest.org.id != org_id {
            problems.push(format!(
                "the archive is of org {} ({}), this is {org_id}",
                manifest.org.id, manifest.org.name
            ));
        }
        let (has, wants) = (manifest.options, request.output);
        if (has.format, has.packing) != (wants.format, wants.packing) {
            let name = |output: crate::exporter::output::OutputOptions| {
                output.format.extension(output.packing)
            };
            problems.push(format!(
                "the archive has .{} files; .{} files can't be added to it",
                name(has),
                name(wants)
            ));
        }
        if manifest.partition_by != request.partition {
            let said = |partition: &Option<crate::exporter::partition::Partition>| {
                partition.as_ref().map_or_else(
                    || "without --partition-by".to_owned(),
                    |partition| format!("with --partition-by {partition}"),
                )
            };
            problems.push(format!(
                "the archive was made {}, this export is {}",
                said(&manifest.partition_by),
                said(&request.partition)
            ));
        }
        if problems.is_empty() {
            Ok(Earlier(Some(manifest)))
        } else {
            Err(ExportRefusal::Problems(problems))
        }
    }

    /// The last export of an object by its fields.
    pub(super) fn last(&self, object: &str) -> Option<&ManifestObject> {
        self.0.as_ref().and_then(|manifest| last_of(manifest, object))
    }

    /// From when on the records of an object are wanted.
    ///
    /// # Errors
    /// Why that can't be told.
    pub(super) fn bound(
        &self,
        request: &ExportRequest,
        description: &ObjectDescription,
        filter: Option<&str>,
    ) -> Result<Bound, String> {
        let object = &description.name;
        let mut bound = Bound::default();
        let at = match request.since {
            None => return Ok(bound),
            Some(Since::At(at)) => at,
            Some(Since::Last) => {
                let Some(last) = self.last(object) else {
                    bound.notes.push(format!("{object} is not in the archive yet: all of it"));
                    return Ok(bound);
                };
                if last.filter.as_deref() != filter {
                    return Err(format!(
                        "{object} was last exported {}; what was left out then would be missing",
                        last.filter.as_ref().map_or_else(
                            || "without --where".to_owned(),
                            |filter| format!("with --where \"{filter}\"")
                        )
                    ));
                }
                let mark = last.watermark.as_deref().and_then(|mark| mark.parse().ok());
                let Some(mark) = mark else {
                    bound.notes.push(format!(
                        "{object}: nobody knows when it was last exported, \
                                              so all of it"
                    ));
                    return Ok(bound);
                };
                // What was saved in a transaction that took long bears a time
                // of before it could be seen.
                let back = SignedDuration::try_from(request.lookback).unwrap_or_default();
                Timestamp::checked_sub(mark, back).unwrap_or(mark)
            }
        };
        let Some(field) = changed_field(description) else {
            bound.notes.push(format!("{object} has no field that tells changes: all of it"));
            return Ok(bound);
        };
        if field == CHANGED[2] {
            bound.notes.push(format!("of {object} only creations are told ({field})"));
        }
        if Timestamp::now().duration_since(at) > SignedDuration::from_hours(BIN_DAYS * 24) {
            bound.notes.push(format!(
                "{object}: what was deleted more than {BIN_DAYS} days ago is no longer told; a \
                 full export appended now makes good for it"
            ));
        } else if !request.deleted {
            bound.notes.push(format!("{object}: deletions are not told without --deleted"));
        }
        let at = format!("{at:.3}");
        bound.from = Some((format!("{field} >= {at}"), at));
        Ok(bound)
    }
}

/// The last export of an object by its fields that an archive has.
pub(super) fn last_of<'a>(manifest: &'a Manifest, object: &str) -> Option<&'a ManifestObject> {
    manifest.objects.iter().rev().find(|known| known.whole && known.object == object)
}

/// How the columns of an object differ from those it last had, as clauses.
pub(super) fn evolution(before: &[ManifestColumn], now: &[ManifestColumn]) -> Vec<String> {
    let find = |columns: &[ManifestColumn], name: &str| {
        columns.iter().find(|column| column.name == name).cloned()
    };
    let mut told = Vec::new();
    for column in now {
        match find(before, &column.name) {
            None => told.push(format!("{} is new", column.name)),
            Some(old) if old.kind != column.kind => told.push(format!(
                "{} was {}, is {}",
                column.name,
                old.kind.as_str(),
                column.kind.as_str()
            )),
            Some(_) => {}
        }
    }
    let gone = before.iter().filter(|column| find(now, &column.name).is_none());
    told.extend(gone.map(|column| format!("{} is gone", column.name)));
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::column::ColumnKind;

    #[test]
    fn instants_are_days_or_times_of_day() {
        let at = |text: &str| match text.parse::<Since>().unwrap() {
            Since::At(at) => format!("{at:.3}"),
            Since::Last => "last".to_owned(),
        };
        assert_eq!(at("LAST"), "last");
        assert_eq!(at("2026-11-01"), "2026-11-01T00:00:00.000Z");
        assert_eq!(at("2026-11-01T05:30:00+01:00"), "2026-11-01T04:30:00.000Z");
        for text in ["", "yesterday", "2026-13-01", "2026-11-01T05:30:00"] {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
    }

    #[test]
    fn new_and_gone_and_changed_columns_are_told() {
        let column = |name: &str, kind| ManifestColumn {
            name: name.to_owned(),
            kind,
            field_type: String::new(),
            label: String::new(),
        };
        let before = [column("Id", ColumnKind::Text), column("Size", ColumnKind::Int)];
        let now = [column("Size", ColumnKind::Text), column("Tier", ColumnKind::Text)];
        assert_eq!(
            evolution(&before, &now),
            ["Size was a whole number, is text", "Tier is new", "Id is gone"]
        );
        assert!(evolution(&before, &before).is_empty());
    }
}
