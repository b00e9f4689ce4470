//! The `orgs` command: which logins are stored, and whether they work.

use std::fmt::Write as _;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::logins::{Entry, Store};
use super::org::{self, Phase, call_error};
use super::{CliError, Context, Exit, table};
use crate::salesforce::Org;

/// The `orgs` command.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bulkhaul orgs
  bulkhaul orgs --check --json | jq -r '.logins[] | select(.works | not) | .name'")]
pub struct OrgsArgs {
    /// Log in with each and tell whether it works; exit 1 when one does not
    #[arg(long)]
    check: bool,
}

/// A login and, when it was tried, what came of it.
type Tried = (Entry, Option<Result<Org, CliError>>);

pub(super) fn run(args: &OrgsArgs, context: &Context) -> Result<Exit, CliError> {
    let store = Arc::new(Store::find(context)?);
    let (entries, unreadable) = store.list()?;
    let mut tried: Vec<Tried> = Vec::new();
    if args.check {
        let runtime = context.runtime()?;
        for entry in entries {
            let outcome = runtime.block_on(check(&entry, &store, context));
            tried.push((entry, Some(outcome)));
        }
    } else {
        tried.extend(entries.into_iter().map(|entry| (entry, None)));
    }
    if context.global.json {
        context.print_json(&as_json(&tried, &unreadable))?;
    } else {
        context.print(&as_table(&tried, &unreadable, context))?;
    }
    let fails = tried.iter().any(|(_, outcome)| matches!(outcome, Some(Err(_))));
    Ok(if fails || !unreadable.is_empty() { Exit::Repair } else { Exit::Success })
}

async fn check(entry: &Entry, store: &Arc<Store>, context: &Context) -> Result<Org, CliError> {
    let login = entry.login(store.open(entry)?, store)?;
    let options = org::options(context, org::reading(context))?;
    let org =
        Org::connect(login, options).await.map_err(|error| call_error(&error, Phase::Preflight))?;
    org.settle_login().await;
    Ok(org)
}

fn as_json(tried: &[Tried], unreadable: &[String]) -> Value {
    let logins: Vec<Value> = tried
        .iter()
        .map(|(entry, outcome)| {
            let mut object = json!({
                "name": entry.name,
                "kind": entry.kind.name(),
                "login_url": entry.login_url,
                "client_id": entry.client_id,
                "username": entry.username,
                "org_id": entry.org_id,
                "key_file": entry.key_file,
                "kept_in": entry.kept.name(),
            });
            match outcome {
                None => {}
                Some(Ok(org)) => {
                    object["works"] = json!(true);
                    object["org"] = json!(org.identity());
                }
                Some(Err(error)) => {
                    object["works"] = json!(false);
                    object["error"] = json!(error.summary());
                }
            }
            object
        })
        .collect();
    json!({"command": "orgs", "logins": logins, "unreadable": unreadable})
}

fn as_table(tried: &[Tried], unreadable: &[String], context: &Context) -> String {
    let mut text = String::new();
    if tried.is_empty() && unreadable.is_empty() {
        return "No logins are stored; `bulkhaul login NAME` stores one.\n".to_owned();
    }
    let checked = tried.iter().any(|(_, outcome)| outcome.is_some());
    let mut header = vec!["Name", "Kind", "Login URL", "User", "Kept in"];
    if checked {
        header.push("Works");
    }
    let mut table = table::new(&header, context.stdout_is_terminal());
    for (entry, outcome) in tried {
        let mut row = vec![
            entry.name.clone(),
            entry.kind.name().to_owned(),
            table::harmless(&entry.login_url),
            table::harmless(entry.username.as_deref().unwrap_or_default()),
            entry.kept.name().to_owned(),
        ];
        row.extend(outcome.as_ref().map(|outcome| match outcome {
            Ok(org) => format!("yes, org {}", org.identity().org_id),
            Err(error) => format!("no ({})", error.code),
        }));
        table.add_row(row);
    }
    if !tried.is_empty() {
        let _ = writeln!(text, "{}", table.trim_fmt());
    }
    for (entry, outcome) in tried {
        if let Some(Err(error)) = outcome {
            let _ = write!(text, "\n{}: {}", entry.name, error.render());
        }
    }
    for name in unreadable {
        let _ = writeln!(
            text,
            "\n{name}: its file is damaged; log in anew with `bulkhaul login {name}`"
        );
    }
    text
}
