//! The `login` command: tries a login and stores it under a name.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use secrecy::SecretString;
use serde_json::json;

use super::logins::{Entry, Secrets, Slot, Store, check_name};
use super::org::{self, Phase, call_error};
use super::{CliError, Context, Exit};
use crate::salesforce::{ConnectOptions, Login, Org, OrgIdentity, WebLogin, WebLoginRequest};

/// The `login` command.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bulkhaul login prod          # what the variables of --org env describe
  bulkhaul login uat --web --login-url https://test.salesforce.com --client-id 3MVG9...
  bulkhaul load accounts.csv --object Account --operation insert --org prod

Secrets are never flags: they come from the environment (docs/cli.md, Which org)
or from the org itself. They are kept in the keyring of the system, or where
there is none in a file sealed with BULKHAUL_LOGIN_PASSPHRASE.")]
pub struct LoginArgs {
    /// What `--org` shall call it
    name: String,
    /// Log in with the browser; the app's callback URL is
    /// `http://localhost:1717/OauthRedirect`
    #[arg(long)]
    web: bool,
    /// Login host or My Domain, for --web [default: `BULKHAUL_LOGIN_URL`]
    #[arg(long, value_name = "URL", requires = "web")]
    login_url: Option<String>,
    /// Consumer key of the app, for --web [default: `BULKHAUL_CLIENT_ID`]
    #[arg(long, value_name = "ID", requires = "web")]
    client_id: Option<String>,
    /// Port of the callback URL, for --web
    #[arg(long, value_name = "PORT", default_value_t = 1717, requires = "web")]
    callback_port: u16,
    /// Open the browser, too, instead of only printing the URL
    #[arg(long, requires = "web")]
    open: bool,
}

/// Time a person has to log in with the browser.
const PATIENCE: Duration = Duration::from_mins(10);

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

pub(super) fn run(args: &LoginArgs, context: &Context) -> Result<Exit, CliError> {
    check_name(&args.name)?;
    let store = Store::find(context)?;
    context.runtime()?.block_on(async {
        let options = org::options(context, org::reading(context))?;
        let login = if args.web {
            store.prepare(&args.name)?;
            by_browser(args, context, &options).await?
        } else {
            org::from_environment(&variable)?
        };
        let key_file = variable("BULKHAUL_JWT_KEY_FILE").map(PathBuf::from);
        let key_password = variable("BULKHAUL_JWT_KEY_PASSWORD").map(SecretString::from);
        let Some((mut entry, mut secrets)) =
            Entry::of(&args.name, &login, key_file.as_deref(), key_password)
        else {
            return Err(CliError::refused(
                "org",
                "an access token ends by itself, so it can't be stored as a login",
            )
            .hint("Unset BULKHAUL_ACCESS_TOKEN and set one of the other logins, or use --web."));
        };
        if !secrets.is_empty() {
            store.prepare(&args.name)?;
        }
        let org = tried(login, &mut secrets, options).await?;
        let identity = org.identity();
        entry.username.get_or_insert_with(|| identity.username.clone());
        entry.org_id = Some(identity.org_id.clone());
        store.write(&mut entry, &secrets)?;
        tell(&entry, identity, context)?;
        Ok(Exit::Success)
    })
}

/// Tries a login out. An org that rotates refresh tokens replaces the token
/// by that, so the one that is good afterwards is put into the secrets.
async fn tried(
    login: Login,
    secrets: &mut Secrets,
    options: ConnectOptions,
) -> Result<Org, CliError> {
    let (login, slot) = match login {
        Login::Refresh { login_url, id, secret, refresh_token, .. } => {
            let slot = Slot::new(refresh_token.clone());
            let keeper = Some(Arc::new(slot.clone()) as Arc<_>);
            (Login::Refresh { login_url, id, secret, refresh_token, keeper }, Some(slot))
        }
        other => (other, None),
    };
    let org =
        Org::connect(login, options).await.map_err(|error| call_error(&error, Phase::Preflight))?;
    org.settle_login().await;
    if let Some(slot) = slot {
        secrets.refresh_token = Some(slot.token());
    }
    Ok(org)
}

async fn by_browser(
    args: &LoginArgs,
    context: &Context,
    options: &ConnectOptions,
) -> Result<Login, CliError> {
    let needed = |given: &Option<String>, name: &str, flag: &str| {
        given.clone().or_else(|| variable(name)).ok_or_else(|| {
            CliError::refused("org", format!("a login with the browser needs {flag}"))
                .hint(format!("Give {flag}, or set {name}."))
        })
    };
    let failed = |error| call_error(&error, Phase::Preflight);
    let request = WebLoginRequest {
        login_url: needed(&args.login_url, "BULKHAUL_LOGIN_URL", "--login-url")?,
        id: needed(&args.client_id, "BULKHAUL_CLIENT_ID", "--client-id")?,
        secret: variable("BULKHAUL_CLIENT_SECRET").map(SecretString::from),
        port: args.callback_port,
    };
    let login = WebLogin::begin(request).await.map_err(failed)?;
    // Needed to go on, whatever `--quiet` says.
    let mut stderr = std::io::stderr();
    let _ = writeln!(
        stderr,
        "Open this in a browser on this machine and log in (callback URL: {}):\n{}",
        login.callback_url(),
        login.url()
    );
    if args.open && !open_browser(login.url()) {
        context.say("note: no browser could be opened");
    }
    login.finish(PATIENCE, options).await.map_err(failed)
}

/// Hands a URL to the system's opener. It begins with a scheme and holds
/// nothing that a shell would take for its own.
fn open_browser(url: &str) -> bool {
    let (program, first): (&str, &[&str]) = if cfg!(target_os = "macos") {
        ("open", &[])
    } else if cfg!(windows) {
        ("rundll32", &["url.dll,FileProtocolHandler"])
    } else {
        ("xdg-open", &[])
    };
    std::process::Command::new(program)
        .args(first)
        .arg(url)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .is_ok()
}

fn tell(entry: &Entry, identity: &OrgIdentity, context: &Context) -> Result<(), CliError> {
    if context.global.json {
        return context.print_json(&json!({
            "command": "login",
            "name": entry.name,
            "kind": entry.kind.name(),
            "login_url": entry.login_url,
            "client_id": entry.client_id,
            "username": entry.username,
            "kept_in": entry.kept.name(),
            "org": identity,
        }));
    }
    let kind = if identity.production { "production" } else { "sandbox" };
    let name = if identity.name.is_empty() { &identity.org_id } else { &identity.name };
    let user = entry.username.as_deref().filter(|user| !user.is_empty()).unwrap_or("its user");
    let kept = match entry.kept.name() {
        "keyring" => "its secrets are in the keyring",
        "file" => "its secrets are sealed with the passphrase",
        _ => "it has no secret but the key file",
    };
    context.print(&format!(
        "`--org {}` is {name} ({kind}) as {user}, {}; {kept}.\n",
        entry.name,
        entry.kind.name()
    ))
}
