//! Logging: what goes into the log, and where it goes.
//!
//! The log is for finding out what went wrong; what a person should see while
//! a run goes on are events. It holds no token and no row value (I8).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use tracing_subscriber::filter::{EnvFilter, FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::super::error::CliError;
use super::super::progress::above_bars;

/// The variable that names a filter of its own (`bulkhaul::uploader=debug`).
pub(super) const LOG_VARIABLE: &str = "BULKHAUL_LOG";

/// How the log is wanted.
#[derive(Debug)]
pub(super) struct LogSettings<'a> {
    /// `-q`.
    pub(super) quiet: bool,
    /// How many `-v`.
    pub(super) verbose: u8,
    /// What [`LOG_VARIABLE`] holds.
    pub(super) filter: Option<&'a str>,
    /// `--log-file`.
    pub(super) file: Option<&'a Path>,
    /// Whether lines on stderr are coloured.
    pub(super) colour: bool,
    /// Whether stderr carries JSON lines, which log lines must not break.
    pub(super) json: bool,
}

/// Sets up the log of the process. A second call (in tests) changes nothing.
pub(super) fn start(settings: &LogSettings<'_>) -> Result<(), CliError> {
    let spec = settings.filter.unwrap_or_else(|| {
        default_filter(settings.quiet, settings.verbose, settings.file.is_some())
    });
    let filter = EnvFilter::builder().parse(spec).map_err(|error| {
        CliError::refused("log-filter", format!("{LOG_VARIABLE} is no log filter"))
            .caused_by(&error)
            .hint("Write it like `bulkhaul=debug` or `bulkhaul::uploader=trace`.")
    })?;
    let filter = filter.and(filter_fn(|metadata| {
        may_pass(metadata.target(), LevelFilter::from_level(*metadata.level()))
    }));
    let layer = match settings.file {
        Some(path) => {
            let file = open_private(path).map_err(|error| {
                CliError::refused(
                    "log-file",
                    format!("the log file {} can't be written", path.display()),
                )
                .caused_by(&error)
                .hint("Name a file in a folder that exists and is yours.")
            })?;
            tracing_subscriber::fmt::layer().with_ansi(false).with_writer(Arc::new(file)).boxed()
        }
        None if settings.json => {
            tracing_subscriber::fmt::layer().json().with_writer(|| AboveBars).boxed()
        }
        None => tracing_subscriber::fmt::layer()
            .compact()
            .without_time()
            .with_ansi(settings.colour)
            .with_writer(|| AboveBars)
            .boxed(),
    };
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    Ok(())
}

/// The filter when none was named. A file takes more than a terminal does.
fn default_filter(quiet: bool, verbose: u8, file: bool) -> &'static str {
    match (quiet, verbose, file) {
        (true, _, false) => "error",
        (_, 0, false) | (true, _, true) => "warn",
        (_, 1, false) | (_, 0, true) => "warn,bulkhaul=info",
        (_, 1, true) => "warn,bulkhaul=debug",
        _ => "info,bulkhaul=trace",
    }
}

/// Whether an event may be logged at all, whatever the filter says: the HTTP
/// and TLS crates write headers at their finer levels, and a header can hold a
/// token (I8).
fn may_pass(target: &str, level: LevelFilter) -> bool {
    target == "bulkhaul" || target.starts_with("bulkhaul::") || level <= LevelFilter::INFO
}

/// Opens a file to append to that only its owner can read.
fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Stderr; while bars are drawn, the line goes above them.
struct AboveBars;

impl Write for AboveBars {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        above_bars(|| io::stderr().write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_choose_the_filter() {
        assert_eq!(default_filter(false, 0, false), "warn");
        assert_eq!(default_filter(true, 2, false), "error");
        assert_eq!(default_filter(false, 1, false), "warn,bulkhaul=info");
        assert_eq!(default_filter(false, 2, false), "info,bulkhaul=trace");
        assert_eq!(default_filter(false, 0, true), "warn,bulkhaul=info");
        for spec in ["warn", "error", "warn,bulkhaul=info", "info,bulkhaul=trace"] {
            assert!(EnvFilter::builder().parse(spec).is_ok());
        }
    }

    #[test]
    fn what_could_hold_headers_never_passes() {
        assert!(!may_pass("h2::codec", LevelFilter::TRACE));
        assert!(!may_pass("hyper_util::client", LevelFilter::DEBUG));
        assert!(!may_pass("bulkhaulish", LevelFilter::DEBUG));
        assert!(may_pass("rustls", LevelFilter::WARN));
        assert!(may_pass("bulkhaul::uploader", LevelFilter::TRACE));
    }

    #[test]
    fn a_bad_filter_and_a_bad_file_are_refused() {
        let settings = LogSettings {
            quiet: false,
            verbose: 0,
            filter: Some("bulkhaul=loudly=yes"),
            file: None,
            colour: false,
            json: false,
        };
        assert_eq!(start(&settings).unwrap_err().code, "log-filter");
        let settings =
            LogSettings { filter: None, file: Some(Path::new("/nonexistent/run.log")), ..settings };
        assert_eq!(start(&settings).unwrap_err().code, "log-file");
    }

    #[cfg(unix)]
    #[test]
    fn the_log_file_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.log");
        open_private(&path).unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
