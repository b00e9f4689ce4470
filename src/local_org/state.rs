//! What all handlers share: the org itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;

use super::auth::Auth;
use super::bulk_query::{BulkQuery, archived_before};
use super::catalogue::Catalogue;
use super::clock::Clock;
use super::errors::ApiError;
use super::ids::RecordKey;
use super::ingest::Ingest;
use super::limits::Calls;
use super::query::Cursors;
use super::seed;
use super::settings::Settings;
use super::store::{Record, Store, StoreError};
use super::value::Value;

/// Megabytes of records the org may hold: what `limits` shows, not enforced.
const STORAGE_MEGABYTES: u64 = 102_400;

/// Records of 2 KB in a megabyte: how the service reckons data storage.
const RECORDS_PER_MEGABYTE: u64 = 512;

/// The org.
#[derive(Debug)]
pub(crate) struct OrgState {
    /// Switches.
    pub settings: Arc<Settings>,
    /// The org's time.
    pub clock: Clock,
    /// Objects.
    pub catalogue: Arc<Catalogue>,
    /// Records.
    pub store: Arc<Store>,
    /// Credentials and tokens.
    pub auth: Auth,
    /// Bulk API 2.0 ingest jobs.
    pub ingest: Ingest,
    /// Bulk API 2.0 query jobs.
    pub bulk_query: BulkQuery,
    /// API calls of the last 24 hours.
    pub calls: Calls,
    /// Open query cursors.
    pub cursors: Cursors,
    /// `http://127.0.0.1:PORT`
    pub url: String,
    /// 18-character id of the org.
    pub org_id: String,
    /// When the process began, on the org's clock; definitions are as old.
    pub started_at: i64,
    /// The next cursor's number.
    pub next_cursor: AtomicU64,
}

/// What logging in needs to know of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UserRow {
    /// 18-character id.
    pub id: String,
    /// May log in.
    pub active: bool,
    /// Login name.
    pub username: String,
    /// First and last name.
    pub name: String,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// Short name.
    pub alias: String,
    /// Mail address.
    pub email: String,
    /// Time zone.
    pub time_zone: String,
    /// Locale.
    pub locale: String,
    /// Language.
    pub language: String,
}

impl OrgState {
    /// Milliseconds since 1970 on the org's clock.
    pub(crate) fn now(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Counts an API call.
    ///
    /// # Errors
    /// 403 `REQUEST_LIMIT_EXCEEDED` when the rolling 24 hours are used up.
    pub(crate) fn count_call(&self) -> Result<(), ApiError> {
        if self.calls.count(self.now(), self.settings.daily_api_requests) {
            return Ok(());
        }
        Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "REQUEST_LIMIT_EXCEEDED",
            "TotalRequests Limit exceeded.",
        ))
    }

    /// API calls of the last 24 hours, and how many there may be.
    pub(crate) fn api_calls(&self) -> (u64, u64) {
        (self.calls.used(self.now()), self.settings.daily_api_requests)
    }

    /// The value of `Sforce-Limit-Info`.
    pub(crate) fn usage_header(&self) -> String {
        let (used, most) = self.api_calls();
        format!("api-usage={used}/{most}")
    }

    /// Megabytes of records, and how many there may be.
    pub(crate) fn storage_megabytes(&self) -> Result<(u64, u64), ApiError> {
        let mut records = 0;
        for object in self.catalogue.objects() {
            records +=
                self.store.count(object, true).map_err(|error| ApiError::internal(&error))?;
        }
        let most = match self.ingest.faults().spec().storage {
            Some(most) => most.div_ceil(RECORDS_PER_MEGABYTE),
            None => STORAGE_MEGABYTES,
        };
        Ok((records / RECORDS_PER_MEGABYTE, most))
    }

    /// The day before which activities are archived by now.
    pub(crate) fn archived_before(&self) -> Option<i32> {
        archived_before(self.settings.archive_after_days, self.now())
    }

    /// A new query cursor's id.
    pub(crate) fn next_cursor_id(&self) -> String {
        RecordKey::new("01g", self.next_cursor.fetch_add(1, Ordering::Relaxed)).to_string()
    }

    /// How long an access token lives, in milliseconds.
    pub(crate) fn token_lifetime(&self) -> i64 {
        let seconds = i64::try_from(self.settings.token_lifetime_seconds).unwrap_or(i64::MAX);
        seconds.saturating_mul(1000)
    }

    /// Whom a client that logs in by itself runs as: the administrator, while
    /// active.
    pub(crate) fn run_as_user(&self) -> Result<Option<UserRow>, ApiError> {
        Ok(self.user_by_name(seed::ADMIN)?.filter(|user| user.active))
    }

    /// The user of this login name.
    pub(crate) fn user_by_name(&self, username: &str) -> Result<Option<UserRow>, ApiError> {
        self.user(|store, object| {
            let Some((field, _)) = object.field("Username") else { return Ok(None) };
            Ok(store.find_by(object, field, username)?.into_iter().next())
        })
    }

    /// The user of this id.
    pub(crate) fn user_by_id(&self, id: &str) -> Result<Option<UserRow>, ApiError> {
        self.user(|store, object| store.get(object, id))
    }

    fn user(
        &self,
        find: impl FnOnce(&Store, &super::catalogue::ObjectDef) -> Result<Option<Record>, StoreError>,
    ) -> Result<Option<UserRow>, ApiError> {
        let Some(object) = self.catalogue.object("User") else { return Ok(None) };
        let found = find(&self.store, object).map_err(|error| ApiError::internal(&error))?;
        Ok(found.map(|record| {
            let value =
                |name: &str| object.field(name).and_then(|(field, _)| record.values.get(field));
            let text = |name: &str| match value(name) {
                Some(Value::Text(text)) => text.clone(),
                _ => String::new(),
            };
            let (first_name, last_name) = (text("FirstName"), text("LastName"));
            UserRow {
                active: matches!(value("IsActive"), Some(Value::Bool(true))),
                username: text("Username"),
                name: format!("{first_name} {last_name}").trim().to_owned(),
                alias: text("Alias"),
                email: text("Email"),
                time_zone: text("TimeZoneSidKey"),
                locale: text("LocaleSidKey"),
                language: text("LanguageLocaleKey"),
                first_name,
                last_name,
                id: record.id.clone(),
            }
        }))
    }
}
