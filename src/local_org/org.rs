//! Starting and stopping the org.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::auth::{Auth, AuthError, KeyError};
use super::bulk_query::BulkQuery;
use super::catalogue::{Catalogue, CatalogueError};
use super::clock::Clock;
use super::faults::wire::{Handle, Listening};
use super::ingest::{Ingest, IngestError, JournalEntry};
use super::limits::Calls;
use super::query::Cursors;
use super::settings::Settings;
use super::state::OrgState;
use super::store::{Store, StoreError};
use super::{seed, server};

/// How long connections may go on once the org is told to stop.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// How to start an org.
#[derive(Debug, Clone, Default)]
pub struct LocalOrgOptions {
    /// Its folder, made when it isn't there; none keeps all in memory.
    pub dir: Option<PathBuf>,
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Its switches.
    pub settings: Settings,
}

impl LocalOrgOptions {
    /// For the org of a folder: a free port, and the switches of the folder's
    /// `settings.json` when there is one.
    ///
    /// # Errors
    /// When that file can't be read or names unknown switches.
    pub fn for_folder(dir: &Path) -> Result<LocalOrgOptions, LocalOrgError> {
        let path = dir.join("settings.json");
        let settings = if path.exists() { read_settings(&path)? } else { Settings::default() };
        Ok(LocalOrgOptions { dir: Some(dir.to_owned()), port: 0, settings })
    }
}

/// Reads switches from a JSON file; those it doesn't name keep their defaults.
///
/// # Errors
/// When the file can't be read or names unknown switches.
pub fn read_settings(path: &Path) -> Result<Settings, LocalOrgError> {
    let failed = |source| LocalOrgError::Folder { path: path.to_owned(), source };
    let text = std::fs::read(path).map_err(failed)?;
    serde_json::from_slice(&text)
        .map_err(|source| LocalOrgError::Settings { path: path.to_owned(), source })
}

/// Why the org doesn't start.
#[derive(Debug, thiserror::Error)]
pub enum LocalOrgError {
    /// The folder can't be used.
    #[error("cannot use the local org's folder {}", path.display())]
    Folder {
        /// The folder or a file in it.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The switches can't be read.
    #[error("{} does not hold the local org's settings", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// There is nothing in the folder.
    #[error("there is no local org in {}", path.display())]
    NoOrg {
        /// The folder.
        path: PathBuf,
    },
    /// An org or a definition is there already.
    #[error("{} is there already", path.display())]
    Taken {
        /// The folder, or the file of a definition.
        path: PathBuf,
    },
    /// Another process has it.
    #[error("the local org in {} is in use by another process", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// An object's definition is wrong.
    #[error("the local org's objects cannot be read")]
    Catalogue(#[from] CatalogueError),
    /// The records can't be read.
    #[error("the local org's records cannot be read")]
    Store(#[from] StoreError),
    /// The jobs can't be taken up again.
    #[error("the local org's jobs cannot be taken up")]
    Ingest(#[from] IngestError),
    /// The credentials can't be made ready.
    #[error("the local org's credentials cannot be made ready")]
    Auth(#[from] AuthError),
    /// The port can't be had.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Listen {
        /// The port asked for.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A running org. Dropping it ends it at once; [`LocalOrg::stop`] lets
/// requests finish.
#[derive(Debug)]
pub struct LocalOrg {
    state: Arc<OrgState>,
    /// Where it really listens.
    url: String,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<std::io::Result<()>>,
    /// Held as long as the org runs.
    _lock: Option<File>,
}

impl LocalOrg {
    /// Opens the folder and begins to serve; needs a tokio runtime.
    ///
    /// # Errors
    /// When the folder is in use or broken, or the port taken.
    pub async fn start(options: LocalOrgOptions) -> Result<LocalOrg, LocalOrgError> {
        let dir = options.dir.as_deref();
        let lock = dir.map(lock_folder).transpose()?;
        let clock = Clock::new();
        let catalogue = Arc::new(Catalogue::open(dir)?);
        let store = Arc::new(Store::open(dir, &catalogue)?);
        let now = clock.now_ms();
        let org_id = seed::seed(&catalogue, &store, random()?, now)?;
        let auth = Auth::open(dir, &org_id, seed::ADMIN)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let failed = |source| LocalOrgError::Listen { port: options.port, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let url = format!("http://127.0.0.1:{port}");
        let public_url = options.settings.public_url.clone();
        let settings = Arc::new(options.settings.with_knobs());
        let ingest = Ingest::start(dir, &settings, &clock, &catalogue, &store)?;
        let bulk_query = BulkQuery::start(dir, &settings, &clock, &catalogue, &store, &ingest)?;
        let state = Arc::new(OrgState {
            settings,
            clock,
            catalogue,
            store,
            auth,
            ingest,
            bulk_query,
            calls: Calls::default(),
            cursors: Cursors::default(),
            url: public_url.unwrap_or_else(|| url.clone()),
            org_id,
            started_at: now,
            next_cursor: AtomicU64::new(now.unsigned_abs()),
        });
        let (stop, stopped) = oneshot::channel();
        let app = server::app(Arc::clone(&state));
        let app = app.into_make_service_with_connect_info::<Handle>();
        let serving = tokio::spawn(async move {
            axum::serve(Listening(listener), app)
                .with_graceful_shutdown(async {
                    // An error means that the handle was dropped: stop too.
                    let _ = stopped.await;
                })
                .await
        });
        Ok(LocalOrg { state, url, stop: Some(stop), serving, _lock: lock })
    }

    /// `http://127.0.0.1:PORT`, where it listens; the login and instance URL,
    /// too, unless the switch `public-url` names another.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// 18-character id of the org.
    pub fn org_id(&self) -> &str {
        &self.state.org_id
    }

    /// Consumer key for a login with client credentials or JWT.
    pub fn client_id(&self) -> String {
        self.state.auth.client_id()
    }

    /// Consumer secret.
    pub fn client_secret(&self) -> String {
        self.state.auth.client_secret()
    }

    /// A refresh token of the administrator, unless it was revoked.
    pub fn refresh_token(&self) -> Option<String> {
        self.state.auth.refresh_token()
    }

    /// Login name of the administrator.
    pub fn username(&self) -> &'static str {
        seed::ADMIN
    }

    /// Where the credentials are kept, when there is a folder.
    pub fn credentials_file(&self) -> Option<&Path> {
        self.state.auth.file()
    }

    /// A fresh access token of the administrator, as a login would give it.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn access_token(&self) -> Result<String, AuthError> {
        let now = self.state.now();
        let expires_at = now.saturating_add(self.state.token_lifetime());
        let admin = super::ids::RecordKey::new("005", 1).to_string();
        self.state.auth.issue(&admin, Some(expires_at), now)
    }

    /// Ends every access token, as an administrator may do at any time.
    pub fn end_sessions(&self) {
        self.state.auth.end_sessions();
    }

    /// Registers a public key or certificate (PEM or DER) for JWT logins;
    /// `origin` names it in errors.
    ///
    /// # Errors
    /// When it is not an RSA key.
    pub fn register_jwt_key(&self, bytes: &[u8], origin: &str) -> Result<(), KeyError> {
        self.state.auth.register_key(bytes, origin)
    }

    /// What every row of every job did to the records of an object, oldest
    /// first: the judge of "exactly once".
    ///
    /// # Errors
    /// When there is no such object or the store can't be read.
    pub fn journal(&self, object: &str) -> Result<Vec<JournalEntry>, StoreError> {
        self.state.ingest.journal(object)
    }

    /// The org's clock; moving it moves expiry and allowances.
    pub fn clock(&self) -> Clock {
        self.state.clock.clone()
    }

    /// How many faults were made since the start, by what they were: for a
    /// call `upload:done-reset`, else the name alone (`row-lock`).
    pub fn faults_injected(&self) -> BTreeMap<String, u64> {
        self.state.ingest.faults().injected()
    }

    /// What is behind it.
    pub(super) fn state(&self) -> &OrgState {
        &self.state
    }

    /// Lets requests in progress finish, for some seconds at most.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            // An error means that it has ended already.
            let _ = stop.send(());
        }
        // A client that holds its connection open must not hold us up.
        if tokio::time::timeout(STOP_WITHIN, &mut self.serving).await.is_err() {
            self.serving.abort();
        }
    }
}

impl Drop for LocalOrg {
    fn drop(&mut self) {
        self.serving.abort();
        // Waits for the unit of work in hand, some tens of milliseconds: the
        // folder may be opened again at once.
        self.state.bulk_query.stop();
        self.state.ingest.stop();
    }
}

/// Makes the folder and takes its lock.
pub(super) fn lock_folder(dir: &Path) -> Result<File, LocalOrgError> {
    let folder = |path: &Path| {
        let path = path.to_owned();
        move |source| LocalOrgError::Folder { path, source }
    };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    // It holds credentials and whatever data is rehearsed.
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(folder(dir))?;
    let path = dir.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(folder(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LocalOrgError::InUse { path: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(LocalOrgError::Folder { path, source }),
    }
}

fn random() -> Result<u64, AuthError> {
    use ring::rand::SecureRandom as _;
    let mut bytes = [0; 8];
    ring::rand::SystemRandom::new().fill(&mut bytes).map_err(|_| AuthError::Random)?;
    Ok(u64::from_le_bytes(bytes))
}
