//! The folder of stored logins, and where their secrets are.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use secrecy::SecretString;

use super::entry::{Entry, KeptIn, Secrets, VERSION};
use super::keyring::{self, KeyringError};
use super::sealed::{PassKey, SealError};
use crate::cli::{CliError, Context};
use crate::domain::error_chain;

/// The folder of everything that is kept from run to run.
const FOLDER: &str = "BULKHAUL_CONFIG_DIR";
/// Where secrets go: `keyring`, `file`, or what there is.
const PLACE: &str = "BULKHAUL_LOGIN_STORE";
/// What seals them in a file.
const PASSPHRASE: &str = "BULKHAUL_LOGIN_PASSPHRASE";

/// Where secrets are to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Auto,
    Keyring,
    File,
}

/// The stored logins of this user.
pub(in crate::cli) struct Store {
    folder: PathBuf,
    place: Place,
    passphrase: Mutex<Option<SecretString>>,
    key: Mutex<Option<PassKey>>,
    /// Somebody can be asked for a passphrase.
    terminal: bool,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Store {
    /// The store that the environment names.
    ///
    /// # Errors
    /// Refuses (2) a wrong word in the environment, and a user without a home.
    pub(in crate::cli) fn find(context: &Context) -> Result<Store, CliError> {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let place = match read(PLACE).as_deref() {
            None | Some("auto") => Place::Auto,
            Some("keyring") => Place::Keyring,
            Some("file") => Place::File,
            Some(_) => {
                return Err(CliError::refused(
                    "login-store",
                    format!("{PLACE} is none of auto, keyring and file"),
                ));
            }
        };
        let folder = read(FOLDER).map(PathBuf::from).or_else(usual_folder).ok_or_else(|| {
            CliError::refused("login-store", "this user has no home folder to keep logins in")
                .hint(format!("Name a folder in {FOLDER}."))
        })?;
        Ok(Store {
            folder: folder.join("logins"),
            place,
            passphrase: Mutex::new(read(PASSPHRASE).map(SecretString::from)),
            key: Mutex::default(),
            terminal: context.has_terminal(),
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    /// All logins by name, and the names of those that can't be read.
    pub(in crate::cli) fn list(&self) -> Result<(Vec<Entry>, Vec<String>), CliError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((Vec::new(), Vec::new()));
            }
            Err(error) => return Err(self.unusable(&error)),
        };
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for found in entries {
            let path = found.map_err(|error| self.unusable(&error))?.path();
            let name = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
            let Some(name) = name.filter(|_| path.extension().is_some_and(|e| e == "json")) else {
                continue;
            };
            match self.read(&name) {
                Ok(Some(entry)) => good.push(entry),
                Ok(None) => {}
                Err(_) => bad.push(name),
            }
        }
        good.sort_by(|a, b| a.name.cmp(&b.name));
        bad.sort();
        Ok((good, bad))
    }

    /// The open part of a login; none when there is none of this name.
    pub(in crate::cli) fn read(&self, name: &str) -> Result<Option<Entry>, CliError> {
        let bytes = match fs::read(self.path(name)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.unusable(&error)),
        };
        let entry: Entry = serde_json::from_slice(&bytes).map_err(|_| damaged(name))?;
        if entry.version != VERSION {
            return Err(CliError::refused(
                "login-store",
                format!("the stored login `{name}` was written by a later release"),
            )
            .hint("Use that release, or log in anew."));
        }
        // A file system may take another spelling for the same name.
        Ok(Some(entry).filter(|entry| entry.name == name))
    }

    /// The secrets of a login.
    pub(in crate::cli) fn open(&self, entry: &Entry) -> Result<Secrets, CliError> {
        let bytes = match (entry.kept, &entry.sealed) {
            (KeptIn::Nowhere, _) => return Ok(Secrets::default()),
            (KeptIn::Keyring, _) => keyring::get(&entry.name)
                .map_err(|error| keyring_error(&error))?
                .ok_or_else(|| damaged(&entry.name))?,
            (KeptIn::File, Some(sealed)) => {
                let passphrase = self.passphrase(&entry.name, false)?;
                let mut key = self.key.lock().unwrap_or_else(PoisonError::into_inner);
                let fitting = match key.take().filter(|key| key.fits(sealed)) {
                    Some(fitting) => fitting,
                    None => PassKey::of(&passphrase, sealed).map_err(|e| seal_error(entry, e))?,
                };
                let opened = fitting.open(&entry.name, sealed).map_err(|e| seal_error(entry, e))?;
                *key = Some(fitting);
                opened
            }
            (KeptIn::File, None) => return Err(damaged(&entry.name)),
        };
        Secrets::from_bytes(&bytes, entry).ok_or_else(|| damaged(&entry.name))
    }

    /// Makes sure that there is a place for secrets, before somebody takes the
    /// trouble to log in.
    pub(in crate::cli) fn prepare(&self, name: &str) -> Result<(), CliError> {
        match self.place {
            Place::File => self.passphrase(name, true).map(drop),
            Place::Keyring => keyring::get(name).map(drop).map_err(|error| keyring_error(&error)),
            Place::Auto => match keyring::get(name) {
                Ok(_) | Err(KeyringError::Refused(_)) => Ok(()),
                Err(KeyringError::Absent(_)) => self.passphrase(name, true).map(drop),
            },
        }
    }

    /// Keeps a login, in place of an earlier one of this name. Durable when it
    /// returns.
    pub(in crate::cli) fn write(
        &self,
        entry: &mut Entry,
        secrets: &Secrets,
    ) -> Result<(), CliError> {
        if secrets.is_empty() {
            (entry.kept, entry.sealed) = (KeptIn::Nowhere, None);
            return self.save(entry);
        }
        let body = secrets.to_bytes(entry).ok_or_else(|| damaged(&entry.name))?;
        // A login stays where it is when its token is replaced.
        let stays_in_file = entry.kept == KeptIn::File && entry.sealed.is_some();
        if self.place != Place::File && !stays_in_file {
            match keyring::set(&entry.name, body.clone()) {
                Ok(()) => {
                    let moved = entry.kept != KeptIn::Keyring;
                    (entry.kept, entry.sealed) = (KeptIn::Keyring, None);
                    // Nothing of the open part changed else.
                    return if moved || !self.path(&entry.name).exists() {
                        self.save(entry)
                    } else {
                        Ok(())
                    };
                }
                Err(error) if self.place == Place::Keyring => return Err(keyring_error(&error)),
                Err(error) => tracing::info!("{error}; the login goes into a sealed file"),
            }
        }
        let passphrase = self.passphrase(&entry.name, true)?;
        let mut key = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        let made = match key.take() {
            Some(made) => made,
            None => PassKey::fresh(&passphrase).map_err(|e| seal_error(entry, e))?,
        };
        let sealed = made.seal(&entry.name, &body).map_err(|e| seal_error(entry, e))?;
        *key = Some(made);
        drop(key);
        (entry.kept, entry.sealed) = (KeptIn::File, Some(sealed));
        self.save(entry)
    }

    /// Forgets a login.
    pub(in crate::cli) fn remove(&self, entry: &Entry) -> Result<(), CliError> {
        if entry.kept == KeptIn::Keyring {
            keyring::delete(&entry.name).map_err(|error| keyring_error(&error))?;
        }
        fs::remove_file(self.path(&entry.name)).map_err(|error| self.unusable(&error))?;
        // Of no use to anybody any more.
        let _ = fs::remove_file(self.folder.join(format!("{}.lock", entry.name)));
        Ok(())
    }

    /// Waits until no other process renews this login.
    pub(super) fn lock(&self, name: &str) -> io::Result<File> {
        let path = self.folder.join(format!("{name}.lock"));
        let file =
            private(OpenOptions::new().create(true).truncate(false).write(true)).open(path)?;
        file.lock()?;
        Ok(file)
    }

    /// Writes the file of a login beside the old one and puts it in its place.
    fn save(&self, entry: &Entry) -> Result<(), CliError> {
        let text = serde_json::to_vec_pretty(entry).map_err(|_| damaged(&entry.name))?;
        let path = self.path(&entry.name);
        self.make_folder()
            .and_then(|()| replace(&path, &text))
            .map_err(|error| self.unusable(&error))
    }

    fn make_folder(&self) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.folder)
    }

    fn passphrase(&self, name: &str, new: bool) -> Result<SecretString, CliError> {
        let mut known = self.passphrase.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(passphrase) = &*known {
            return Ok(passphrase.clone());
        }
        if !self.terminal {
            let what = if new { "can't be stored" } else { "can't be opened" };
            return Err(CliError::refused(
                "passphrase",
                format!(
                    "the login `{name}` {what}: there is no keyring for it, and no passphrase for \
                     a file"
                ),
            )
            .hint(format!(
                "Set {PASSPHRASE}; or set BULKHAUL_LOGIN_URL and its companions and use --org env."
            )));
        }
        let asked = ask_passphrase(new).map_err(|error| {
            CliError::refused("passphrase", "no passphrase could be read").caused_by(&error)
        })?;
        let asked = asked.ok_or_else(|| {
            CliError::refused("passphrase", "the passphrase is empty, or was not repeated alike")
        })?;
        *known = Some(asked.clone());
        Ok(asked)
    }

    fn unusable(&self, error: &io::Error) -> CliError {
        let message = format!("the stored logins in {} can't be used", self.folder.display());
        CliError::refused("login-store", message)
            .caused_by(error)
            .hint(format!("Mend that, or name another folder in {FOLDER}."))
    }
}

/// Asks for a passphrase on the terminal, a new one twice. None when it is
/// empty or the two differ.
fn ask_passphrase(new: bool) -> io::Result<Option<SecretString>> {
    let terminal = console::Term::stderr();
    let ask = |question: &str| {
        terminal.write_str(question)?;
        terminal.read_secure_line().map(SecretString::from)
    };
    use secrecy::ExposeSecret as _;
    let first = ask("Passphrase of the stored logins: ")?;
    if first.expose_secret().is_empty() {
        return Ok(None);
    }
    if new && ask("Once more: ")?.expose_secret() != first.expose_secret() {
        return Ok(None);
    }
    Ok(Some(first))
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("json.new");
    // A left-over one may have other rights.
    let _ = fs::remove_file(&beside);
    let mut file = private(OpenOptions::new().write(true).create_new(true)).open(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// The folder where programs of this user keep their settings.
fn usual_folder() -> Option<PathBuf> {
    let read =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if cfg!(windows) {
        return Some(read("APPDATA")?.join("bulkhaul"));
    }
    if cfg!(target_os = "macos") {
        return Some(read("HOME")?.join("Library/Application Support/bulkhaul"));
    }
    let base = read("XDG_CONFIG_HOME").or_else(|| Some(read("HOME")?.join(".config")))?;
    Some(base.join("bulkhaul"))
}

/// A stored login that is not what was written.
pub(super) fn damaged(name: &str) -> CliError {
    CliError::refused(
        "login-store",
        format!("the stored login `{name}` is damaged, or was changed since it was stored"),
    )
    .hint(format!("Log in anew: `bulkhaul login {name}`."))
}

fn keyring_error(error: &KeyringError) -> CliError {
    CliError::refused("keyring", error_chain(error)).hint(format!(
        "Unlock it, or keep logins in a sealed file: {PLACE}=file, with a passphrase in \
         {PASSPHRASE}."
    ))
}

fn seal_error(entry: &Entry, error: SealError) -> CliError {
    let message = format!("the stored login `{}`: {error}", entry.name);
    CliError::refused("passphrase", message)
        .hint(format!("Check {PASSPHRASE}, or log in anew: `bulkhaul login {}`.", entry.name))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::salesforce::{Login, TokenKeeper as _};

    fn store(folder: &Path, passphrase: Option<&str>) -> Store {
        Store {
            folder: folder.join("logins"),
            place: Place::File,
            passphrase: Mutex::new(passphrase.map(SecretString::from)),
            key: Mutex::default(),
            terminal: false,
        }
    }

    fn stored(store: &Store, name: &str) -> Entry {
        let login = Login::Refresh {
            login_url: "https://acme.my.salesforce.com".into(),
            id: "3MVG9".into(),
            secret: None,
            refresh_token: "hunter2-first".into(),
            keeper: None,
        };
        let (mut entry, secrets) = Entry::of(name, &login, None, None).unwrap();
        store.write(&mut entry, &secrets).unwrap();
        entry
    }

    fn token(store: &Store, name: &str) -> String {
        let entry = store.read(name).unwrap().unwrap();
        store.open(&entry).unwrap().refresh_token.unwrap().expose_secret().to_owned()
    }

    #[test]
    fn a_login_is_there_for_the_next_process_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        stored(&store(folder.path(), Some("passphrase")), "prod");
        let later = store(folder.path(), Some("passphrase"));
        assert_eq!(token(&later, "prod"), "hunter2-first");
        let file = folder.path().join("logins/prod.json");
        assert!(!fs::read_to_string(&file).unwrap().contains("hunter2"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
            let folder = fs::metadata(folder.path().join("logins")).unwrap();
            assert_eq!(folder.permissions().mode() & 0o777, 0o700);
        }
        let (entries, bad) = later.list().unwrap();
        assert_eq!((entries[0].name.as_str(), bad.len()), ("prod", 0));
        later.remove(&entries[0]).unwrap();
        assert!(later.read("prod").unwrap().is_none());
        assert!(later.list().unwrap().0.is_empty());
    }

    #[test]
    fn without_the_passphrase_nothing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let entry = stored(&store(folder.path(), Some("passphrase")), "prod");
        let error = store(folder.path(), Some("wrong")).open(&entry).unwrap_err();
        assert_eq!((error.code, error.exit as u8), ("passphrase", 2));
        let error = store(folder.path(), None).open(&entry).unwrap_err();
        assert_eq!(error.code, "passphrase");
        assert!(error.hint.unwrap().contains(PASSPHRASE));
    }

    #[test]
    fn a_changed_file_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), Some("passphrase"));
        stored(&store, "prod");
        let file = folder.path().join("logins/prod.json");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("acme.my.salesforce.com", "evil.example")).unwrap();
        let bent = store.read("prod").unwrap().unwrap();
        assert_eq!(store.open(&bent).unwrap_err().code, "login-store");
        fs::write(&file, "{").unwrap();
        assert_eq!(store.read("prod").unwrap_err().code, "login-store");
        assert_eq!(store.list().unwrap().1, ["prod"]);
        fs::write(&file, text.replace("\"version\": 1", "\"version\": 2")).unwrap();
        assert!(store.read("prod").unwrap_err().message.contains("later release"));
    }

    #[test]
    fn a_rotated_token_replaces_the_stored_one_and_renewals_take_turns() {
        let folder = tempfile::tempdir().unwrap();
        let one = Arc::new(store(folder.path(), Some("passphrase")));
        stored(&one, "prod");
        let other = Arc::new(store(folder.path(), Some("passphrase")));
        let (first, second) = (
            super::super::keeper::StoredKeeper::new(one, "prod"),
            super::super::keeper::StoredKeeper::new(Arc::clone(&other), "prod"),
        );
        let mut turn = first.turn().unwrap();
        let waiting = std::thread::spawn(move || {
            let turn = second.turn().unwrap();
            turn.current().expose_secret().to_owned()
        });
        assert_eq!(turn.current().expose_secret(), "hunter2-first");
        turn.keep(&"hunter2-second".into()).unwrap();
        drop(turn);
        // Whenever the other one came, it found the token that is good.
        assert_eq!(waiting.join().unwrap(), "hunter2-second");
        assert_eq!(token(&other, "prod"), "hunter2-second");
    }
}
