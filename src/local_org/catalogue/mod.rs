//! The objects this org knows: what describe tells about them, and what every
//! check of a row goes by.
//!
//! Definitions have the shape of `GET /sobjects/X/describe` (REST API guide,
//! "sObject Describe"). Those of the standard objects are built in
//! (`standard/*.json`, shortened: what is left out is filled in by
//! [`load`]); any `*.json` in the folder's `objects/` adds an object or
//! replaces a built-in one. Nothing changes after the start.

mod field;
mod load;
mod object;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use field::{FieldDef, FieldKind, PicklistDef};
pub(crate) use object::ObjectDef;

/// The id of the record type every object has and no record points at.
pub(crate) const MASTER_RECORD_TYPE: &str = "012000000000000AAA";

/// The built-in definitions, in the order in which the object list shows them.
const STANDARD: [(&str, &str); 17] = [
    ("Account", include_str!("standard/Account.json")),
    ("Campaign", include_str!("standard/Campaign.json")),
    ("CampaignMember", include_str!("standard/CampaignMember.json")),
    ("Case", include_str!("standard/Case.json")),
    ("CaseStatus", include_str!("standard/CaseStatus.json")),
    ("Contact", include_str!("standard/Contact.json")),
    ("Event", include_str!("standard/Event.json")),
    ("Group", include_str!("standard/Group.json")),
    ("Lead", include_str!("standard/Lead.json")),
    ("Opportunity", include_str!("standard/Opportunity.json")),
    ("Organization", include_str!("standard/Organization.json")),
    ("PermissionSet", include_str!("standard/PermissionSet.json")),
    ("PermissionSetAssignment", include_str!("standard/PermissionSetAssignment.json")),
    ("Profile", include_str!("standard/Profile.json")),
    ("RecordType", include_str!("standard/RecordType.json")),
    ("Task", include_str!("standard/Task.json")),
    ("User", include_str!("standard/User.json")),
];

/// The built-in definitions, by name.
pub(crate) fn built_in() -> &'static [(&'static str, &'static str)] {
    &STANDARD
}

/// Why the definitions could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// A file or folder can't be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not a describe result.
    #[error("{origin} is not the JSON of an object's describe")]
    Parse {
        /// The file, or the built-in object.
        origin: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A definition contradicts itself or another one.
    #[error("{origin}: {problem}")]
    Invalid {
        /// The file, or the built-in object.
        origin: String,
        /// What is wrong.
        problem: String,
    },
}

/// All objects of the org; immutable once opened.
#[derive(Debug)]
pub(crate) struct Catalogue {
    objects: Vec<Arc<ObjectDef>>,
    by_name: HashMap<String, usize>,
}

impl Catalogue {
    /// The built-in objects and those of `dir/objects/*.json`.
    ///
    /// # Errors
    /// When a file can't be read, isn't the JSON of a describe, or when two
    /// objects claim the same key prefix.
    pub(crate) fn open(dir: Option<&Path>) -> Result<Catalogue, CatalogueError> {
        Catalogue::open_with(dir, &[])
    }

    /// The same with further definitions, each with where it comes from.
    pub(crate) fn open_with(
        dir: Option<&Path>,
        more: &[(String, String)],
    ) -> Result<Catalogue, CatalogueError> {
        let mut texts: Vec<(String, String)> = STANDARD
            .iter()
            .map(|(name, text)| (format!("built-in object {name}"), (*text).to_owned()))
            .collect();
        if let Some(dir) = dir {
            texts.extend(read_folder(&dir.join("objects"))?);
        }
        // One that replaces a file of the folder takes its place.
        texts.retain(|(origin, _)| !more.iter().any(|(new, _)| new == origin));
        texts.extend_from_slice(more);
        Catalogue::from_texts(&texts)
    }

    /// From describe texts, each with where it comes from; a later one
    /// replaces an earlier one of the same name.
    pub(crate) fn from_texts(texts: &[(String, String)]) -> Result<Catalogue, CatalogueError> {
        let mut documents: Vec<load::ObjectDocument> = Vec::new();
        for (origin, text) in texts {
            let document = load::parse(origin, text)?;
            match documents.iter_mut().find(|known| known.is_named(&document)) {
                Some(known) => *known = document,
                None => documents.push(document),
            }
        }
        let objects = load::resolve(documents)?;
        let by_name =
            objects.iter().enumerate().map(|(at, o)| (o.name.to_ascii_lowercase(), at)).collect();
        Ok(Catalogue { objects, by_name })
    }

    /// The object of this API name, in whatever letter case.
    pub(crate) fn object(&self, name: &str) -> Option<&Arc<ObjectDef>> {
        self.by_name.get(&name.to_ascii_lowercase()).and_then(|at| self.objects.get(*at))
    }

    /// All objects, ordered by name.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Arc<ObjectDef>> {
        self.objects.iter()
    }
}

/// The `*.json` files of a folder in name order; none when it isn't there.
fn read_folder(folder: &Path) -> Result<Vec<(String, String)>, CatalogueError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| CatalogueError::Read { path, source }
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(folder)(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed(folder))?.path();
        if path.extension().is_some_and(|ext| ext.eq_ignore_ascii_case("json")) {
            paths.push(path);
        }
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).map_err(failed(&path))?;
            Ok((path.display().to_string(), text))
        })
        .collect()
}

#[cfg(test)]
mod tests;
