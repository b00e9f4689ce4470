//! `local-org clone`: the schema of an org's objects into the folder of a
//! local org. The client reads, the local org is given JSON in its own form;
//! neither knows the other.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::super::org::{self, Phase, call_error};
use super::super::{CliError, Context, Exit};
use super::cloned::{Cloned, Depth};
use super::refusal;
use crate::domain::error_chain;
use crate::local_org::{
    LocalOrg, LocalOrgError, LocalOrgOptions, adopt_objects, built_in_objects, is_an_org,
};
use crate::report::format::count;
use crate::salesforce::{FieldValue, Org, QueryScope};

pub(super) const EXAMPLES: &str = "Examples:
  bulkhaul local-org clone --from sf:uat --objects Invoice__c,Shipment__c --dir rehearsal
  bulkhaul local-org clone --from prod --objects Account --keys --most-keys 500000
  bulkhaul load invoices.csv --object Invoice__c --operation insert --org local \\
      --local-org-dir rehearsal

Of the data nothing is copied but, with --keys, the values of unique and external
id fields. docs/local-org.md says what a clone can't know.";

/// Objects that the local org works with itself: its own stay.
const OWN: [&str; 8] = [
    "CaseStatus",
    "Group",
    "Organization",
    "PermissionSet",
    "PermissionSetAssignment",
    "Profile",
    "RecordType",
    "User",
];

/// Parents that are copied beside the objects named; each is a call.
const MOST_PARENTS: usize = 200;

/// What no clone knows, in words.
const UNKNOWN: [&str; 8] = [
    "triggers",
    "flows",
    "validation rules",
    "duplicate rules",
    "sharing and field rights of other users",
    "values of formulas and roll-ups",
    "dependent picklists (shown, not enforced)",
    "ids of records and of record types, which the clone makes itself",
];

/// The `local-org clone` command.
#[derive(Debug, Args)]
pub(super) struct CloneArgs {
    /// The org to copy from: `env`, `sf:ALIAS`, or the name of a stored login
    #[arg(long, value_name = "ORG")]
    from: String,
    /// API names of the objects
    #[arg(long, value_name = "OBJECT,...", value_delimiter = ',', required = true)]
    objects: Vec<String>,
    /// Folder of the local org; default: that of --local-org-dir
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Write definitions anew that the folder has already; records stay
    #[arg(long)]
    replace: bool,
    /// Copy the values of unique and external id fields, too, so that
    /// duplicates and lookups by key are found
    #[arg(long)]
    keys: bool,
    /// Most records of an object whose keys are copied
    #[arg(long, value_name = "N", default_value_t = 100_000, requires = "keys")]
    most_keys: u64,
}

/// Keys of one object.
struct Keys {
    object: String,
    records: u64,
    /// There were more than were asked for.
    cut: bool,
}

/// What was read of the other org.
struct Read {
    objects: Vec<Cloned>,
    /// Objects whose record types the org doesn't tell picklists of.
    untold: BTreeSet<String>,
    /// Parents that this user may not see, or that were too many.
    unseen: BTreeSet<String>,
}

pub(super) fn run(args: &CloneArgs, context: &Context) -> Result<Exit, CliError> {
    let dir = args.dir.as_ref().unwrap_or(&context.global.local_org_dir);
    if args.from == "local" {
        return Err(CliError::refused("usage", "--from local is the embedded org itself").hint(
            "Name another org; one that `local-org serve` serves is named by `env` and its \
             variables.",
        ));
    }
    if let Some(own) = args.objects.iter().find(|name| is_own(name)) {
        let message = format!("the local org works with {own} itself and keeps its own");
        return Err(CliError::refused("usage", message).hint("Leave it out of --objects."));
    }
    // Before anything is asked: it may take many calls.
    if is_an_org(dir) && !args.replace {
        return Err(refusal(&LocalOrgError::Taken { path: dir.clone() }));
    }
    if is_an_org(dir) && args.keys {
        let message = format!(
            "the local org in {} has records, and keys would stand beside them twice",
            dir.display()
        );
        return Err(CliError::refused("local-org", message)
            .hint("Name another folder with --dir, or leave --keys out."));
    }
    context.runtime()?.block_on(clone(args, dir, context))
}

fn is_own(name: &str) -> bool {
    OWN.iter().any(|own| own.eq_ignore_ascii_case(name.trim()))
}

async fn clone(args: &CloneArgs, dir: &Path, context: &Context) -> Result<Exit, CliError> {
    let mut global = context.global.clone();
    global.org = Some(args.from.clone());
    let from = context.with(global);
    let connected = org::connect(&from, org::reading(&from)).await?;
    let done = copy(args, dir, &connected.org).await;
    let identity = connected.org.identity().clone();
    connected.close().await;
    let (read, keys, own_id) = done?;
    if context.global.json {
        context.print_json(&json!({
            "from": {"id": identity.org_id, "name": identity.name, "url": identity.url},
            "dir": dir.display().to_string(),
            "org_id": own_id,
            "objects": read.objects.iter().map(|one| object_json(one, &keys, &read)).collect::<Vec<_>>(),
            "unseen_parents": read.unseen,
            "unknown": UNKNOWN,
        }))?;
    } else {
        let name = if identity.name.is_empty() { &identity.url } else { &identity.name };
        context.print(&told(&read, &keys, dir, name, own_id.as_deref()))?;
    }
    Ok(Exit::Success)
}

/// Reads, writes the definitions, and then the keys.
async fn copy(
    args: &CloneArgs,
    dir: &Path,
    org: &Org,
) -> Result<(Read, Vec<Keys>, Option<String>), CliError> {
    let read = read(args, org).await?;
    let definitions: Vec<(String, String)> = read
        .objects
        .iter()
        .map(|one| {
            let text = serde_json::to_string_pretty(&one.definition).unwrap_or_default();
            (one.name.clone(), text + "\n")
        })
        .collect();
    adopt_objects(dir, &definitions, args.replace).map_err(|error| refusal(&error))?;
    if !args.keys {
        return Ok((read, Vec::new(), None));
    }
    let options = LocalOrgOptions::for_folder(dir).map_err(|error| refusal(&error))?;
    let local = LocalOrg::start(options).await.map_err(|error| refusal(&error))?;
    let mut copied = Vec::new();
    let mut failure = None;
    for one in read.objects.iter().filter(|one| !one.keys.is_empty()) {
        match copy_keys(one, args.most_keys, org, &local).await {
            Ok(keys) => copied.push(keys),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    let own_id = local.org_id().to_owned();
    local.stop().await;
    match failure {
        Some(error) => Err(error),
        None => Ok((read, copied, Some(own_id))),
    }
}

async fn read(args: &CloneArgs, org: &Org) -> Result<Read, CliError> {
    let mut read = Read { objects: Vec::new(), untold: BTreeSet::new(), unseen: BTreeSet::new() };
    for name in &args.objects {
        let name = name.trim();
        if read.objects.iter().any(|one| one.name.eq_ignore_ascii_case(name)) {
            continue;
        }
        let described = org.describe_whole(name).await.map_err(|error| {
            let told = call_error(&error, Phase::Preflight);
            if error.is_not_found() {
                let message = format!("there is no object `{name}` that this user may see");
                return CliError { code: "unknown-object", message, ..told };
            }
            told
        })?;
        let Some(mut one) = Cloned::of(&described, Depth::Whole) else {
            let message = format!("the org's reply describes no object {name}");
            return Err(CliError::refused("org-reply", message));
        };
        for (place, id) in one.usable_record_types() {
            let offered = org.picklists_of_record_type(&one.name, &id).await;
            match offered.map_err(|error| call_error(&error, Phase::Preflight))? {
                Some(offered) => one.narrow(place, &offered),
                None => {
                    read.untold.insert(one.name.clone());
                    break;
                }
            }
        }
        read.objects.push(one);
    }
    let wanted: BTreeSet<String> = read.objects.iter().flat_map(Cloned::parents).collect();
    let mut parents = 0;
    for name in wanted {
        if is_own(&name) || read.objects.iter().any(|one| one.name == name) {
            continue;
        }
        if parents == MOST_PARENTS {
            read.unseen.insert(name);
            continue;
        }
        parents += 1;
        match org.describe_whole(&name).await {
            Ok(described) => read.objects.extend(Cloned::of(&described, Depth::Thin)),
            Err(error) if error.is_untold() => {
                read.unseen.insert(name);
            }
            Err(error) => return Err(call_error(&error, Phase::Preflight)),
        }
    }
    Ok(read)
}

/// Copies the keys of an object's records, page by page.
async fn copy_keys(one: &Cloned, most: u64, org: &Org, local: &LocalOrg) -> Result<Keys, CliError> {
    let any: Vec<String> = one.keys.iter().map(|key| format!("{key} != null")).collect();
    let soql = format!(
        "SELECT {} FROM {} WHERE {} ORDER BY Id LIMIT {}",
        one.keys.join(", "),
        one.name,
        any.join(" OR "),
        most.saturating_add(1)
    );
    let mut keys = Keys { object: one.name.clone(), records: 0, cut: false };
    let mut pages = org.query(&soql, QueryScope::Live);
    let failed = |error| call_error(&error, Phase::Running);
    while let Some(page) = pages.next_page().await.map_err(failed)? {
        let room = usize::try_from(most - keys.records).unwrap_or(usize::MAX);
        keys.cut |= page.records.len() > room;
        let rows: Vec<Vec<String>> = page
            .records
            .iter()
            .take(room)
            .map(|record| {
                let cell =
                    |key: &String| record.get(key).map_or_else(String::new, FieldValue::cell);
                one.keys.iter().map(cell).collect()
            })
            .collect();
        keys.records += local.put_records(&one.name, &one.keys, &rows).map_err(|error| {
            CliError::repair("local-org", error_chain(&error)).hint("Free space, then clone anew.")
        })?;
        if keys.cut {
            break;
        }
    }
    Ok(keys)
}

fn object_json(one: &Cloned, keys: &[Keys], read: &Read) -> Value {
    let copied = keys.iter().find(|keys| keys.object == one.name);
    json!({
        "name": one.name,
        "whole": one.depth == Depth::Whole,
        "replaces_built_in": built_in_objects().any(|own| own == one.name),
        "fields": one.fields,
        "record_types": one.record_types,
        "picklists": one.picklists,
        "picklists_by_record_type":
            if read.untold.contains(&one.name) { Value::Null } else { json!(one.narrowed) },
        "key_fields": one.keys,
        "key_records": copied.map(|keys| keys.records),
        "key_records_cut": copied.is_some_and(|keys| keys.cut),
        "computed_fields": one.computed,
        "formula_defaults": one.formula_defaults,
        "left_out": one.left_out.iter().map(|(field, why)| json!({"field": field, "why": why})).collect::<Vec<_>>(),
    })
}

fn told(read: &Read, keys: &[Keys], dir: &Path, from: &str, own_id: Option<&str>) -> String {
    let mut text = format!("Copied from {from} into {}:\n", dir.display());
    for one in &read.objects {
        let _ = write!(text, "\n  {}", one.name);
        if one.depth == Depth::Thin {
            text.push_str(" (as a parent: id, name and keys)");
        }
        let mut parts = vec![count(one.fields as u64, "field")];
        if one.depth == Depth::Whole {
            parts.push(count(one.record_types as u64, "record type"));
            parts.push(count(one.picklists as u64, "picklist"));
            if one.narrowed > 0 {
                parts.push(format!("{} narrowed by a record type", one.narrowed));
            }
        }
        if !one.keys.is_empty() {
            parts.push(format!("keys {}", one.keys.join(", ")));
        }
        let _ = write!(text, "\n    {}", parts.join(", "));
        if let Some(copied) = keys.iter().find(|keys| keys.object == one.name) {
            let _ = write!(text, "\n    keys of {}", count(copied.records, "record"));
            if copied.cut {
                text.push_str("; there are more (--most-keys)");
            }
        }
        if read.untold.contains(&one.name) {
            text.push_str("\n    the org doesn't tell its picklists by record type");
        }
        let left: Vec<String> =
            one.left_out.iter().map(|(field, why)| format!("{field} ({why})")).collect();
        if !left.is_empty() {
            let _ = write!(text, "\n    left out: {}", left.join(", "));
        }
        if one.computed > 0 {
            let what =
                if one.computed == 1 { "formula or roll-up" } else { "formulas and roll-ups" };
            let _ = write!(text, "\n    always empty: {} {what}", one.computed);
        }
        if one.formula_defaults > 0 {
            let _ = write!(text, "\n    {} defaults are formulas: no value", one.formula_defaults);
        }
    }
    if !read.unseen.is_empty() {
        let names: Vec<&str> = read.unseen.iter().map(String::as_str).collect();
        let _ = write!(text, "\n\n  Parents not copied: {}", names.join(", "));
    }
    let _ = write!(text, "\n\nA clone doesn't know: {}.\n", UNKNOWN.join(", "));
    let id = own_id.map_or_else(String::new, |id| format!(" ({id})"));
    let _ = writeln!(text, "It is an org of its own{id}; its runs are not those of {from}.");
    let _ = writeln!(text, "Use it with --org local --local-org-dir {}", dir.display());
    text
}
