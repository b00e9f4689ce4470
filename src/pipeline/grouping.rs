//! `--group-by` before the start: which column, how the source lies by it, and
//! the derived source where it has to be put in another order.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use super::derived::{Derivation, Derived, Original};
use super::window::Window;
use super::{LoadRequest, RunFolder};
use crate::chunker::ChunkSizing;
use crate::domain::{Event, ObjectDescription, Operation, SharedSink};
use crate::grouper::{
    GROUPED_CSV, GROUPED_GROUPS, GROUPED_ROWS, GroupError, GroupOptions, GroupStep, GroupSurvey,
    KeyColumn, Keyed, index_in_place, regroup, survey,
};
use crate::reader::Source;
use crate::rows::{Dialect, GroupIndex, SourceError, SourceRows as _, TemporaryFolder};
use crate::transformer::{Plan, PlannedColumn, Problem};

/// The word that turns grouping off.
pub(super) const NONE: &str = "none";

/// Why a source can't be grouped. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum GroupingError {
    /// The grouping itself.
    #[error("the rows can't be put in groups")]
    Group(#[from] GroupError),
    /// The files of it.
    #[error("{} can't be used to put the rows in groups", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The source or what was made of it can't be read.
    #[error("the source can't be read")]
    Source(#[from] SourceError),
}

/// A source in groups, in a temporary folder until the run has one.
#[derive(Debug)]
pub(super) struct Grouped {
    folder: TemporaryFolder,
    /// The column's name.
    column: String,
    /// What is known of the groups.
    pub(super) survey: GroupSurvey,
    /// The index of the groups.
    pub(super) index: GroupIndex,
    /// The source in another order, and the original; `None` where the source
    /// goes as it stands.
    pub(super) derived: Option<Derived>,
}

/// Which column rows are grouped by: the one that was named, else one whose
/// lookup locks its parent.
///
/// # Errors
/// A [`Problem`] when the named one is not there.
pub(super) fn column(
    request: &LoadRequest,
    plan: &Plan,
    object: &ObjectDescription,
    header: &[String],
) -> Result<Option<String>, Problem> {
    match request.group_by.as_deref() {
        Some(NONE) => Ok(None),
        Some(name) => match header.iter().find(|column| column.eq_ignore_ascii_case(name)) {
            Some(column) => Ok(Some(column.clone())),
            None => mapped_column(plan, name),
        },
        // A deletion locks the parents, too, but its file has ids alone.
        None if plan.operation == Operation::Delete || plan.operation == Operation::HardDelete => {
            Ok(None)
        }
        None => Ok(plan
            .columns
            .iter()
            .find(|column| {
                let field = object.field(&column.field).filter(|_| column.source.is_some());
                field.is_some_and(|field| {
                    !field.reference_to.is_empty()
                        && (field.cascade_delete || field.relationship_order.is_some())
                })
            })
            .map(|column| column.name.clone())),
    }
}

/// The column that a field of this name is made of.
fn mapped_column(plan: &Plan, name: &str) -> Result<Option<String>, Problem> {
    let field = plan.columns.iter().find(|column| column.header.eq_ignore_ascii_case(name));
    let (message, hint) = match field.map(|column| (column, column.source)) {
        Some((column, Some(_))) => return Ok(Some(column.name.clone())),
        Some((column, None)) => (
            format!(
                "--group-by {name}: the mapping makes {} of several columns or of none, so rows \
                 can't be grouped by it",
                column.header
            ),
            Some("name a column of the source that tells the parents apart".to_owned()),
        ),
        None => (format!("--group-by {name}: the source has no such column"), None),
    };
    Err(Problem { message, hint })
}

/// What of grouping has to be known before it begins.
pub(super) struct Grouping<'a> {
    pub(super) request: &'a LoadRequest,
    pub(super) plan: &'a Plan,
    pub(super) source: &'a Source,
    pub(super) sizing: ChunkSizing,
    pub(super) events: &'a SharedSink,
}

impl Grouping<'_> {
    /// Surveys the groups of a column, and puts the source in their order where
    /// it isn't. `None` when no row has a parent there.
    pub(super) fn run(&self, column: &str) -> Result<Option<Grouped>, GroupingError> {
        let header = self.source.header();
        let Some(at) = header.iter().position(|name| name == column) else { return Ok(None) };
        // Of a value that is made, the cells are text, whatever the field holds.
        let is_it = |sent: &&PlannedColumn| sent.source == Some(at) && sent.recipe.is_none();
        let sent = self.plan.columns.iter().find(is_it);
        let key = KeyColumn {
            column: at,
            kind: sent
                .map_or(crate::domain::ValueKind::Text { case_sensitive: false }, |sent| sent.kind),
            dialect: self.source.dialect(),
        };
        let header_bytes = self.plan.header_line().len() as u64;
        let options = GroupOptions::new(self.sizing.rows, self.sizing.max_bytes, header_bytes);
        let total = self.source.identity().bytes;
        let mut progress = |step| {
            if let GroupStep::Read { bytes, .. } = step {
                self.events.announce(Event::ScanProgress { bytes, total });
            }
            ControlFlow::Continue(())
        };
        let surveyed = self.with_rows(&key, |keyed| survey(keyed, &options, &mut progress))?;
        if surveyed.grouped == 0 {
            return Ok(None);
        }
        let runs_dir = &self.request.runs_dir;
        let folder = |source| GroupingError::Folder { path: runs_dir.clone(), source };
        let temporary = TemporaryFolder::of_process(runs_dir, "grouping").map_err(folder)?;
        let (index, derived) = if surveyed.suits_in_place() {
            let indexed = self.with_rows(&key, |keyed| {
                index_in_place(keyed, &options, temporary.path(), &mut progress)
            })?;
            (indexed.index, None)
        } else {
            let head = self.source.header_text()?;
            let line_ending = self.source.dialect().line_ending;
            let made = self.with_rows(&key, |keyed| {
                regroup(&head, line_ending, keyed, &options, temporary.path(), &mut progress)
            })?;
            let derived = Derived {
                map: Arc::new(made.map),
                original: Some(self.source.clone()),
                retry: None,
            };
            (made.index, Some(derived))
        };
        let column = column.to_owned();
        Ok(Some(Grouped { folder: temporary, column, survey: surveyed, index, derived }))
    }

    fn with_rows<T>(
        &self,
        key: &KeyColumn,
        work: impl FnOnce(Keyed<'_>) -> Result<T, GroupError>,
    ) -> Result<T, GroupingError> {
        let mut rows = Window::new(self.source.rows(None)?, self.request.skip, self.request.limit);
        let mut keys = |batch: &_| key.keys(batch, Some(&self.plan.apply(batch)));
        Ok(work(Keyed { rows: &mut rows, keys: &mut keys })?)
    }
}

impl Grouped {
    /// What the banner says: rows per parent, and where locks are to be
    /// expected.
    pub(super) fn forecast(&self) -> String {
        let mut text = self.survey.sentence(&self.column);
        if self.derived.is_some() {
            text.push_str("; the rows go in that order, result files stay in that of the source");
        }
        text
    }

    /// Opens the source in its new order, where it lies now.
    pub(super) fn open(&self, dialect: Dialect) -> Result<Option<Source>, SourceError> {
        if self.derived.is_none() {
            return Ok(None);
        }
        Source::open_own(&self.folder.path().join(GROUPED_CSV), dialect).map(Some)
    }

    /// Moves the files into the run's folder. Gives what the ledger keeps, and
    /// the index and the map where they lie then.
    pub(super) fn move_into(self, folder: &RunFolder) -> Result<Moved, GroupingError> {
        let from = self.folder.path();
        let failed = |source| GroupingError::Folder { path: folder.path().to_owned(), source };
        let mut names = vec![GROUPED_GROUPS];
        if self.derived.is_some() {
            // The text last: when it is there, all are.
            names.extend([GROUPED_ROWS, GROUPED_CSV]);
        }
        for name in &names {
            std::fs::rename(from.join(name), folder.path().join(name)).map_err(failed)?;
        }
        let original = self.derived.as_ref().and_then(|derived| derived.original.clone());
        let derivation = Derivation {
            kind: "grouped".to_owned(),
            original: original.map(|original| Original {
                path: absolute(original.path()),
                identity: original.identity().clone(),
            }),
            map: self.derived.is_some().then(|| GROUPED_ROWS.to_owned()),
            index: Some(GROUPED_GROUPS.to_owned()),
            group_by: Some(self.column.clone()),
            retry: None,
        };
        let index = GroupIndex::open(&folder.path().join(GROUPED_GROUPS)).map_err(failed)?;
        let derived = match self.derived {
            None => None,
            Some(derived) => {
                let map = crate::rows::RowMap::open(&folder.path().join(GROUPED_ROWS));
                Some(Derived { map: Arc::new(map.map_err(failed)?), ..derived })
            }
        };
        Ok(Moved { derivation, index, derived })
    }
}

/// A grouped source whose files lie in the run's folder.
pub(super) struct Moved {
    pub(super) derivation: Derivation,
    pub(super) index: GroupIndex,
    pub(super) derived: Option<Derived>,
}

/// A path that means the same from another folder.
pub(super) fn absolute(path: &std::path::Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
