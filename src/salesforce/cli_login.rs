//! The login that people already have: the Salesforce CLI as a source of
//! tokens.
//!
//! `sf org display --json` tells the instance URL and, before CLI 2.136.8 (May
//! 2026), the token. Since then that text begins with `[REDACTED]`, and
//! `sf org auth show-access-token --json` shows the token instead. Both are
//! asked at once (each start of the CLI takes seconds), the newer one wins.
//! Nothing the CLI prints gets into an error but its own `message`.

use std::ffi::{OsStr, OsString};
use std::process::Stdio;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::process::Command;

use super::error::{CallError, Happened, Kind};
use super::refusal::one_line;

/// What the CLI keeps of a login.
#[derive(Debug)]
pub(super) struct Kept {
    pub instance_url: String,
    pub token: SecretString,
}

/// The CLI may refresh the token over the network before it answers.
const PATIENCE: Duration = Duration::from_secs(90);

/// Reads a login of the CLI found on the path.
pub(super) async fn read(alias: &str) -> Result<Kept, CallError> {
    let program = if cfg!(windows) { "sf.cmd" } else { "sf" };
    read_from(OsStr::new(program), &[], alias).await
}

/// The envelope of every `--json` command. No `Debug`: it holds the token.
#[derive(Deserialize)]
struct Envelope {
    result: Option<Shown>,
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    #[serde(default, deserialize_with = "super::token::maybe_secret")]
    access_token: Option<SecretString>,
    instance_url: Option<String>,
}

async fn read_from(program: &OsStr, prefix: &[OsString], alias: &str) -> Result<Kept, CallError> {
    if alias.is_empty() || alias.starts_with('-') {
        return Err(failed("`sf:` wants an alias or user name behind it"));
    }
    let (token, shown) = tokio::join!(
        ask(program, prefix, &["org", "auth", "show-access-token"], alias),
        ask(program, prefix, &["org", "display"], alias),
    );
    let shown = shown?;
    let instance_url =
        shown.instance_url.ok_or_else(|| failed("`sf org display` tells no instanceUrl"))?;
    let usable = |token: &SecretString| !is_redacted(token) && !token.expose_secret().is_empty();
    let newer = token.ok().and_then(|shown| shown.access_token).filter(usable);
    let hidden = shown.access_token.as_ref().is_some_and(is_redacted);
    match newer.or(shown.access_token.filter(usable)) {
        Some(token) => Ok(Kept { instance_url, token }),
        None if hidden => Err(failed(
            "the Salesforce CLI hides the token and has no `sf org auth show-access-token` that \
             would show it; update it with `sf update`, or set SF_TEMP_SHOW_SECRETS=true for now",
        )),
        None => Err(failed("the Salesforce CLI tells no access token for this alias")),
    }
}

fn is_redacted(token: &SecretString) -> bool {
    token.expose_secret().trim_start().starts_with("[REDACTED]")
}

async fn ask(
    program: &OsStr,
    prefix: &[OsString],
    command: &[&str],
    alias: &str,
) -> Result<Shown, CallError> {
    let name = command.join(" ");
    let run = Command::new(program)
        .args(prefix)
        .args(command)
        .args(["--target-org", alias, "--json"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(PATIENCE, run).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(failed("there is no `sf` (the Salesforce CLI) on the PATH"));
        }
        Ok(Err(error)) => return Err(failed("`sf` could not be started").because(error)),
        Err(_) => {
            return Err(failed(format!("`sf {name}` did not end in {} s", PATIENCE.as_secs())));
        }
    };
    let envelope: Option<Envelope> = serde_json::from_slice(&output.stdout).ok();
    let (shown, message) = envelope.map_or((None, None), |e| (e.result, e.message));
    match shown {
        Some(shown) if output.status.success() => Ok(shown),
        _ => Err(failed(match message {
            Some(message) => format!("`sf {name}` says: {}", one_line(&message, 300)),
            None => format!("`sf {name}` gave no JSON"),
        })),
    }
}

fn failed(message: impl Into<String>) -> CallError {
    CallError::new("use the Salesforce CLI's login", Kind::Login, Happened::No).message(message)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    /// Runs `read_from` against a shell script that stands for the CLI.
    async fn with_cli(script: &str) -> Result<Kept, CallError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sf.sh");
        std::fs::write(&path, script).unwrap();
        read_from(OsStr::new("sh"), &[path.into_os_string()], "my-org").await
    }

    const DISPLAY: &str = r#"echo '{"status":0,"result":{"instanceUrl":"https://acme.my.salesforce.com","accessToken":"TOKEN"},"warnings":[]}'"#;

    fn cli(show: &str, token_in_display: &str) -> String {
        let display = DISPLAY.replace("TOKEN", token_in_display);
        format!(
            "[ \"$5\" = my-org ] || [ \"$4\" = my-org ] || exit 9\nif [ \"$2\" = auth ]; then {show}; else {display}; fi\n"
        )
    }

    #[tokio::test]
    async fn the_newer_command_wins() {
        let show = r#"echo '{"status":0,"result":{"accessToken":"00Dnew!token"}}'"#;
        let kept = with_cli(&cli(show, "[REDACTED] Use 'sf org auth show-access-token' to view"))
            .await
            .unwrap();
        assert_eq!(kept.token.expose_secret(), "00Dnew!token");
        assert_eq!(kept.instance_url, "https://acme.my.salesforce.com");
    }

    #[tokio::test]
    async fn an_older_cli_tells_the_token_with_display() {
        let show =
            r#"echo '{"name":"CommandNotFound","message":"no such command","status":1}'; exit 127"#;
        let kept = with_cli(&cli(show, "00Dold!token")).await.unwrap();
        assert_eq!(kept.token.expose_secret(), "00Dold!token");
    }

    #[tokio::test]
    async fn a_hidden_token_says_what_to_do() {
        let error = with_cli(&cli("exit 127", "[REDACTED] Use 'sf org auth show-…'")).await;
        let error = error.unwrap_err();
        assert!(error.is_login());
        assert!(error.to_string().contains("sf update"), "{error}");
    }

    #[tokio::test]
    async fn the_clis_own_message_is_passed_on() {
        let script = r#"echo '{"status":1,"name":"NamedOrgNotFoundError","message":"No authorization information found for my-org."}'; exit 1"#;
        let error = with_cli(script).await.unwrap_err();
        assert!(error.to_string().contains("No authorization information"), "{error}");
    }

    #[tokio::test]
    async fn a_missing_cli_is_named() {
        let error = read_from(OsStr::new("/nonexistent/sf"), &[], "x").await.unwrap_err();
        assert!(error.to_string().contains("no `sf`"), "{error}");
        assert!(read_from(OsStr::new("sh"), &[], "--flag").await.is_err());
    }
}
