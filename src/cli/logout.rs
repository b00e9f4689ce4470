//! The `logout` command: forgets a stored login.

use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::logins::{Store, check_name};
use super::org::{self, Phase, call_error};
use super::{CliError, Context, Exit};

/// The `logout` command.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bulkhaul logout uat
  bulkhaul logout prod --revoke

Without --revoke the org is not told: a refresh token stays good for whoever
else has it.")]
pub struct LogoutArgs {
    /// Name of the login
    name: String,
    /// End the refresh token in the org first, and all sessions that came of it
    #[arg(long)]
    revoke: bool,
}

pub(super) fn run(args: &LogoutArgs, context: &Context) -> Result<Exit, CliError> {
    check_name(&args.name)?;
    let store = Arc::new(Store::find(context)?);
    let entry = org::stored_entry(&store, &args.name)?;
    if args.revoke {
        let options = org::options(context, org::reading(context))?;
        let login = entry.login(store.open(&entry)?, &store)?;
        context.runtime()?.block_on(async {
            login.revoke(&options).await.map_err(|error| {
                let error = call_error(&error, Phase::Preflight);
                error.hint(format!(
                    "Nothing was forgotten. `bulkhaul logout {}` forgets the login without \
                     telling the org.",
                    args.name
                ))
            })
        })?;
    }
    store.remove(&entry)?;
    if context.global.json {
        let object = json!({"command": "logout", "name": entry.name, "revoked": args.revoke});
        context.print_json(&object)?;
    } else {
        context.print(&format!("`{}` is forgotten.\n", entry.name))?;
    }
    Ok(Exit::Success)
}
