//! Which org: from `--org` and the environment to a connected org, and from a
//! failed call to what a person reads.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use secrecy::SecretString;

use super::context::ProgressStyle;
use super::logins::{Entry, Store, check_name};
use super::{CliError, Context, Exit};
use crate::domain::{Event, EventSink, RecordId, SharedSink, error_chain};
use crate::salesforce::{
    CaBundle, CallError, ConnectOptions, JwtKey, Kind, Login, Org, OrgIdentity,
};

/// What an org can be named by, for errors.
const CHOICES: &str = "Name one with --org or BULKHAUL_ORG: `local` (the embedded org), `env` (a \
    login from environment variables), `sf:ALIAS` (a login of the Salesforce CLI) or the name of a \
    stored login (`bulkhaul orgs`).";

/// The variables of `env`, any of which makes it the default.
const TELLING: [&str; 4] =
    ["BULKHAUL_INSTANCE_URL", "BULKHAUL_ACCESS_TOKEN", "BULKHAUL_LOGIN_URL", "BULKHAUL_CLIENT_ID"];

/// A connected org, and the embedded one behind it when it is that.
#[derive(Debug)]
pub(super) struct Connected {
    /// The org.
    pub org: Org,
    /// What to say at the end when the refresh token was replaced meanwhile,
    /// and to whom.
    spent: Option<Notes>,
    #[cfg(feature = "local-org")]
    local: Option<local::Running>,
}

impl Connected {
    /// Lets a renewal of the login come to its end, and ends the embedded org,
    /// if there is one; its data stays.
    pub(super) async fn close(self) {
        self.org.settle_login().await;
        if let Some(notes) = self.spent
            && self.org.refresh_token_rotated()
        {
            notes.announce(Event::Note { text: SPENT.to_owned() });
        }
        #[cfg(feature = "local-org")]
        if let Some(local) = self.local {
            drop(self.org);
            local.stop().await;
        }
    }
}

/// The org rotates refresh tokens, and this login has no place to keep the next.
const SPENT: &str = "the org gave new refresh tokens in the place of the one in \
    BULKHAUL_REFRESH_TOKEN, which is spent; log in anew before the next run";

/// A variable of the environment that is set to something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Options to connect with, as flags and environment have them.
///
/// # Errors
/// Refuses (2) a CA file that can't be used.
pub(super) fn options(
    context: &Context,
    options: ConnectOptions,
) -> Result<ConnectOptions, CliError> {
    Ok(ConnectOptions {
        api_version: context.global.api_version.clone(),
        allow_tls12: options.allow_tls12 || variable(TLS12).as_deref().is_some_and(is_yes),
        more_authorities: authorities(&variable)?,
        ..options
    })
}

/// A stored login by its name.
///
/// # Errors
/// Refuses (2) a name that is none, with those there are.
pub(super) fn stored_entry(store: &Store, name: &str) -> Result<Entry, CliError> {
    let found = if check_name(name).is_ok() { store.read(name)? } else { None };
    found.ok_or_else(|| {
        let (entries, _) = store.list().unwrap_or_default();
        let names: Vec<String> = entries.iter().map(|entry| format!("`{}`", entry.name)).collect();
        let stored = match names.as_slice() {
            [] => "No logins are stored (`bulkhaul login NAME` stores one).".to_owned(),
            names => format!("Stored are {}.", names.join(", ")),
        };
        CliError::refused("org", format!("there is no stored login `{name}`"))
            .hint(format!("{stored} {CHOICES}"))
    })
}

/// Connects to the org that the flags and the environment name.
///
/// # Errors
/// Exit 2: nothing was sent.
pub(super) async fn connect(
    context: &Context,
    options: ConnectOptions,
) -> Result<Connected, CliError> {
    let global = &context.global;
    let options = self::options(context, options)?;
    let choice = resolve(global.org.as_deref(), &variable)?;
    match choice {
        Choice::Login(login) => {
            let spent =
                matches!(login, Login::Refresh { keeper: None, .. }).then(|| notes(context));
            connected(login, options, spent).await
        }
        Choice::Stored(name) => {
            let store = Arc::new(Store::find(context)?);
            let entry = stored_entry(&store, &name)?;
            let login = entry.login(store.open(&entry)?, &store)?;
            connected(login, options, None).await
        }
        #[cfg(feature = "local-org")]
        Choice::Local => {
            let running = local::Running::start(&global.local_org_dir).await?;
            match Org::connect(running.login(), options).await {
                Ok(org) => Ok(Connected { org, spent: None, local: Some(running) }),
                Err(error) => {
                    running.stop().await;
                    Err(call_error(&error, Phase::Preflight))
                }
            }
        }
        #[cfg(not(feature = "local-org"))]
        Choice::Local => Err(CliError::refused("org", "this build has no embedded org")
            .hint("Build with the feature `local-org`, which is on by default.")),
    }
}

async fn connected(
    login: Login,
    options: ConnectOptions,
    spent: Option<Notes>,
) -> Result<Connected, CliError> {
    match Org::connect(login, options).await {
        Ok(org) => Ok(Connected {
            org,
            spent,
            #[cfg(feature = "local-org")]
            local: None,
        }),
        Err(error) => Err(call_error(&error, Phase::Preflight)),
    }
}

/// Accepts TLS 1.2, for networks whose firewall breaks up connections.
const TLS12: &str = "BULKHAUL_ALLOW_TLS12";

/// A PEM file with CA certificates that are trusted besides the machine's.
const CA_FILE: &str = "BULKHAUL_CA_FILE";

fn authorities(read: &dyn Fn(&str) -> Option<String>) -> Result<CaBundle, CliError> {
    let Some(path) = read(CA_FILE) else { return Ok(CaBundle::default()) };
    let failed = |why: String| {
        CliError::refused("ca-file", format!("{CA_FILE} names {path}: {why}"))
            .hint("It takes certificates in PEM (-----BEGIN CERTIFICATE-----), one or more.")
    };
    let pem =
        std::fs::read(&path).map_err(|error| failed(format!("it can't be read ({error})")))?;
    CaBundle::parse(&pem).map_err(|why| failed(why.to_owned()))
}

fn is_yes(word: &str) -> bool {
    ["1", "true", "yes", "on"].iter().any(|yes| word.trim().eq_ignore_ascii_case(yes))
}

#[derive(Debug)]
enum Choice {
    Local,
    Login(Login),
    Stored(String),
}

/// Turns a name into a login, by the contract of docs/cli.md.
fn resolve(name: Option<&str>, read: &dyn Fn(&str) -> Option<String>) -> Result<Choice, CliError> {
    let name = match name.map(str::trim).filter(|name| !name.is_empty()) {
        Some(name) => name,
        None if TELLING.iter().any(|variable| read(variable).is_some()) => "env",
        None => return Err(CliError::refused("org", "no org is named").hint(CHOICES)),
    };
    if let Some(alias) = name.strip_prefix("sf:") {
        return Ok(Choice::Login(Login::SalesforceCli { alias: alias.to_owned() }));
    }
    match name {
        "local" => Ok(Choice::Local),
        "env" => from_environment(read).map(Choice::Login),
        other => Ok(Choice::Stored(other.to_owned())),
    }
}

/// The login that variables of the environment describe.
///
/// # Errors
/// Refuses (2) half a login, and a key file that can't be used.
pub(super) fn from_environment(read: &dyn Fn(&str) -> Option<String>) -> Result<Login, CliError> {
    let secret = |name: &str| read(name).map(SecretString::from);
    match (read("BULKHAUL_INSTANCE_URL"), secret("BULKHAUL_ACCESS_TOKEN")) {
        (Some(instance_url), Some(token)) => return Ok(Login::Token { instance_url, token }),
        (Some(_), None) if read("BULKHAUL_LOGIN_URL").is_none() => {
            return Err(unset("BULKHAUL_ACCESS_TOKEN", "BULKHAUL_INSTANCE_URL"));
        }
        (None, Some(_)) if read("BULKHAUL_LOGIN_URL").is_none() => {
            return Err(unset("BULKHAUL_INSTANCE_URL", "BULKHAUL_ACCESS_TOKEN"));
        }
        _ => {}
    }
    let (login_url, id) = match (read("BULKHAUL_LOGIN_URL"), read("BULKHAUL_CLIENT_ID")) {
        (Some(login_url), Some(id)) => (login_url, id),
        (Some(_), None) => return Err(unset("BULKHAUL_CLIENT_ID", "BULKHAUL_LOGIN_URL")),
        (None, Some(_)) => return Err(unset("BULKHAUL_LOGIN_URL", "BULKHAUL_CLIENT_ID")),
        (None, None) => {
            return Err(CliError::refused("org", "the environment holds no login").hint(
                "Set BULKHAUL_INSTANCE_URL and BULKHAUL_ACCESS_TOKEN; or BULKHAUL_LOGIN_URL and \
                 BULKHAUL_CLIENT_ID with BULKHAUL_JWT_KEY_FILE and BULKHAUL_USERNAME, with \
                 BULKHAUL_REFRESH_TOKEN, or with BULKHAUL_CLIENT_SECRET.",
            ));
        }
    };
    match (read("BULKHAUL_JWT_KEY_FILE"), read("BULKHAUL_USERNAME")) {
        (Some(file), Some(username)) => {
            let key = jwt_key(Path::new(&file), secret("BULKHAUL_JWT_KEY_PASSWORD").as_ref())?;
            let audience = read("BULKHAUL_JWT_AUDIENCE");
            return Ok(Login::Jwt { login_url, id, username, key, audience });
        }
        // Going on to another login than the one that was meant would be
        // worse than stopping.
        (Some(_), None) => return Err(unset("BULKHAUL_USERNAME", "BULKHAUL_JWT_KEY_FILE")),
        (None, _) => {}
    }
    let secret_of_app = secret("BULKHAUL_CLIENT_SECRET");
    match (secret("BULKHAUL_REFRESH_TOKEN"), secret_of_app) {
        (Some(refresh_token), secret) => {
            Ok(Login::Refresh { login_url, id, secret, refresh_token, keeper: None })
        }
        (None, Some(secret)) => Ok(Login::ClientCredentials { login_url, id, secret }),
        (None, None) => Err(unset(
            "BULKHAUL_JWT_KEY_FILE (or BULKHAUL_REFRESH_TOKEN, or BULKHAUL_CLIENT_SECRET)",
            "BULKHAUL_LOGIN_URL and BULKHAUL_CLIENT_ID",
        )),
    }
}

/// Reads the key of a JWT login; a warning when others may read it, too.
fn jwt_key(path: &Path, password: Option<&SecretString>) -> Result<JwtKey, CliError> {
    let key = JwtKey::read(path, password)
        .map_err(|error| CliError::refused("jwt-key", error.to_string()).hint(error.hint()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).map_or(0, |data| data.permissions().mode());
        if mode & 0o077 != 0 {
            let path = path.display();
            tracing::warn!("others on this machine may read {path}; `chmod 600` keeps it yours");
        }
    }
    Ok(key)
}

fn unset(missing: &str, present: &str) -> CliError {
    CliError::refused("org", format!("the environment holds half a login: {missing} is not set"))
        .hint(format!("Set {missing} beside {present}."))
}

/// Refuses any org but the expected one: an org id, `production` or
/// `sandbox` (I11).
///
/// # Errors
/// Exit 2, with what was expected and what was found.
pub(super) fn check_expected(identity: &OrgIdentity, expected: &str) -> Result<(), CliError> {
    let kind = if identity.production { "production" } else { "sandbox" };
    let found = match expected.trim() {
        word @ ("production" | "sandbox") => {
            if word == kind {
                return Ok(());
            }
            kind
        }
        id => {
            let id = RecordId::parse(id.as_bytes()).map_err(|error| {
                CliError::refused("usage", format!("--expect-org {id}: {error}"))
                    .hint("It takes an org id (00D…), `production` or `sandbox`.")
            })?;
            if id.as_str() == identity.org_id {
                return Ok(());
            }
            &identity.org_id
        }
    };
    let name = if identity.name.is_empty() { &identity.url } else { &identity.name };
    let message =
        format!("this is not the expected org: --expect-org says {expected}, {name} is {found}");
    Err(CliError::refused("wrong-org", message).hint("Check --org and --expect-org."))
}

/// Whether anything was sent when a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing was sent: exit 2 whatever it was.
    Preflight,
    /// A run is under way: exit 4 for what passes, 1 for what needs repair.
    Running,
}

/// A failed call as a person sees it. The code words stand in
/// docs/errors.md.
pub(super) fn call_error(error: &CallError, phase: Phase) -> CliError {
    let (code, running) = if error.is_login() {
        ("login", Exit::Repair)
    } else if error.is_allowance() {
        ("allowance", Exit::Interrupted)
    } else {
        match error.kind {
            Kind::Address => ("address", Exit::Refused),
            Kind::Tls => ("tls", Exit::Repair),
            Kind::Proxy => ("proxy", Exit::Interrupted),
            Kind::Version => ("api-version", Exit::Refused),
            Kind::Identity => ("identity", Exit::Refused),
            Kind::Local => ("local", Exit::Repair),
            Kind::Reply => ("org-reply", Exit::Repair),
            _ if error.is_unreachable() => ("unreachable", Exit::Interrupted),
            _ => ("org-refused", Exit::Repair),
        }
    };
    let exit = if phase == Phase::Preflight { Exit::Refused } else { running };
    let mut hint = error.hint();
    if error.kind == Kind::Local && phase == Phase::Running {
        hint = Some(super::error::MEND_AND_RESUME.to_owned());
    }
    CliError {
        exit,
        code,
        message: error_chain(error),
        problems: Vec::new(),
        hint,
        resumable: phase == Phase::Running,
    }
}

/// Options to connect with for a command that only reads.
pub(super) fn reading(context: &Context) -> ConnectOptions {
    let events: SharedSink = Arc::new(notes(context));
    ConnectOptions { lanes: 1, events, ..ConnectOptions::default() }
}

fn notes(context: &Context) -> Notes {
    let style = context.global.progress;
    let quiet = context.global.quiet || style == ProgressStyle::None;
    Notes { quiet, json: style == ProgressStyle::Json }
}

/// Tells of retries and renewals on stderr, for commands without bars.
#[derive(Debug)]
struct Notes {
    quiet: bool,
    json: bool,
}

impl EventSink for Notes {
    fn announce(&self, event: Event) {
        if self.quiet {
            return;
        }
        let line = match &event {
            event if self.json => serde_json::to_string(event).unwrap_or_default(),
            Event::Retrying { call, wait_seconds, reason, .. } => {
                format!("note: could not {call} ({reason}); again in {wait_seconds:.1} s")
            }
            Event::Note { text } => format!("note: {text}"),
            _ => return,
        };
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

/// The embedded org behind `--org local`.
#[cfg(feature = "local-org")]
mod local {
    use std::path::Path;

    use secrecy::SecretString;

    use crate::cli::CliError;
    use crate::cli::local_org::refusal;
    use crate::local_org::{LocalOrg, LocalOrgOptions};
    use crate::salesforce::Login;

    /// An embedded org that runs as long as this lives.
    #[derive(Debug)]
    pub(super) struct Running(LocalOrg);

    impl Running {
        /// Starts it on a free loopback port, its data in a folder.
        pub(super) async fn start(dir: &Path) -> Result<Running, CliError> {
            let options = LocalOrgOptions::for_folder(dir).map_err(|error| refusal(&error))?;
            LocalOrg::start(options).await.map(Running).map_err(|error| refusal(&error))
        }

        /// A login by client credentials, which also shows that renewal works.
        pub(super) fn login(&self) -> Login {
            Login::ClientCredentials {
                login_url: self.0.url().to_owned(),
                id: self.0.client_id(),
                secret: SecretString::from(self.0.client_secret()),
            }
        }

        /// Stops it; jobs go on at its next start.
        pub(super) async fn stop(self) {
            self.0.stop().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn resolved(name: Option<&str>, variables: &[(&str, &str)]) -> Result<Choice, CliError> {
        let variables: HashMap<&str, &str> = variables.iter().copied().collect();
        resolve(name, &|name| variables.get(name).map(|value| (*value).to_owned()))
    }

    fn kind(name: Option<&str>, variables: &[(&str, &str)]) -> &'static str {
        match resolved(name, variables) {
            Ok(Choice::Local) => "local",
            Ok(Choice::Login(login)) => login.kind(),
            Ok(Choice::Stored(_)) => "stored",
            Err(error) => {
                assert_eq!(error.exit, Exit::Refused);
                assert!(error.hint.is_some());
                "refused"
            }
        }
    }

    const TOKEN: [(&str, &str); 2] =
        [("BULKHAUL_INSTANCE_URL", "https://a"), ("BULKHAUL_ACCESS_TOKEN", "t")];
    const APP: [(&str, &str); 2] =
        [("BULKHAUL_LOGIN_URL", "https://a"), ("BULKHAUL_CLIENT_ID", "i")];
    const SECRET: (&str, &str) = ("BULKHAUL_CLIENT_SECRET", "s");
    const REFRESH: (&str, &str) = ("BULKHAUL_REFRESH_TOKEN", "r");

    #[test]
    fn the_environments_logins_have_an_order() {
        let all: Vec<_> = TOKEN.into_iter().chain(APP).chain([SECRET, REFRESH]).collect();
        assert_eq!(kind(None, &all), "access token");
        assert_eq!(kind(Some("env"), &all[2..]), "refresh token");
        assert_eq!(kind(None, &all[2..5]), "client credentials");
        let public_app = [APP[0], APP[1], REFRESH];
        assert_eq!(kind(None, &public_app), "refresh token");
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/logins/rsa-pkcs1.pem");
        let key = ("BULKHAUL_JWT_KEY_FILE", file);
        let jwt = [APP[0], APP[1], SECRET, REFRESH, key, ("BULKHAUL_USERNAME", "u")];
        assert_eq!(kind(None, &jwt), "JWT");
        // A stray user name is no reason to stop; a key without a user is.
        assert_eq!(kind(None, &[APP[0], APP[1], SECRET, jwt[5]]), "client credentials");
        assert_eq!(kind(None, &jwt[..5]), "refused");
    }

    #[test]
    fn half_a_login_names_the_other_half() {
        for (variables, missing) in [
            (&TOKEN[..1], "BULKHAUL_ACCESS_TOKEN"),
            (&TOKEN[1..], "BULKHAUL_INSTANCE_URL"),
            (&APP[..1], "BULKHAUL_CLIENT_ID"),
            (&APP[1..], "BULKHAUL_LOGIN_URL"),
            (&APP[..], "BULKHAUL_REFRESH_TOKEN"),
        ] {
            let error = resolved(None, variables).unwrap_err();
            assert!(error.message.contains(missing), "{}", error.message);
        }
        // A stray half does not hide a whole login.
        assert_eq!(kind(None, &[TOKEN[0], APP[0], APP[1], SECRET]), "client credentials");
    }

    #[test]
    fn names_are_the_contracts() {
        assert_eq!(kind(Some("local"), &TOKEN), "local");
        assert_eq!(kind(Some("sf:prod"), &[]), "Salesforce CLI");
        assert_eq!(kind(Some("prod"), &TOKEN), "stored");
        assert_eq!(kind(None, &[]), "refused");
        let hint = resolved(None, &[]).unwrap_err().hint.unwrap();
        assert!(["`local`", "`env`", "`sf:ALIAS`"].iter().all(|choice| hint.contains(choice)));
    }

    #[test]
    fn only_the_expected_org_passes() {
        let identity = OrgIdentity {
            org_id: "00D7Q000001AbCdUAK".into(),
            name: "Acme".into(),
            url: "https://acme.my.salesforce.com".into(),
            user_id: String::new(),
            username: String::new(),
            production: true,
            edition: None,
        };
        for good in ["production", "00D7Q000001AbCd", "00D7Q000001AbCdUAK"] {
            check_expected(&identity, good).unwrap();
        }
        for bad in ["sandbox", "00D7Q000001AbCe", "Acme", ""] {
            let error = check_expected(&identity, bad).unwrap_err();
            assert_eq!(error.exit, Exit::Refused);
        }
    }
}
