//! Ingest over HTTP: thin handlers around [`Ingest`]. Paths are in the form
//! the server brings them into: fixed words in lower case, no slash at the end.

use std::io::{self, Read, Write};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRef, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Extension, Router};
use futures_util::{StreamExt as _, stream};
use serde_json::Value as Json;

use super::job::Shape;
use super::results::{Answer, ResultSet};
use super::{Arriving, Ingest, multipart, results};
use crate::local_org::errors::{ApiError, json_reply};
use crate::local_org::jobs::http::{
    Coding, JSON_LIMIT, blocking, coding, content_type, is_type, pairs, small_body, unsupported,
};
use crate::local_org::jobs::illegal_state;
use crate::local_org::server::{ApiVersion, CurrentUser};
use crate::local_org::state::OrgState;

/// Bytes passed on at a time, in either direction.
const PIECE: usize = 256 * 1024;

/// The calls of section 2.1, relative to the version's path.
pub(crate) fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Ingest: FromRef<S>,
{
    Router::new()
        .route("/jobs/ingest", get(list).post(create))
        .route("/jobs/ingest/{id}", get(info).patch(patch).delete(delete))
        .route("/jobs/ingest/{id}/batches", put(upload))
        .route("/jobs/ingest/{id}/{set}", get(result_set))
}

impl FromRef<Arc<OrgState>> for Ingest {
    fn from_ref(state: &Arc<OrgState>) -> Ingest {
        state.ingest.clone()
    }
}

async fn create(
    State(ingest): State<Ingest>,
    Extension(user): Extension<CurrentUser>,
    Extension(version): Extension<ApiVersion>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let limit = ingest.inner.settings.multipart_chars;
    let (_, reply) = if is_type(&headers, "application/json") {
        let body = small_body(&headers, body, JSON_LIMIT).await?;
        blocking(move || ingest.create(&body, &user.id, &version.0)).await?
    } else if is_type(&headers, "multipart/form-data") {
        // Four bytes to a character, and the parts' heads.
        let body = small_body(&headers, body, limit.saturating_mul(4) + JSON_LIMIT).await?;
        let (job, content) = multipart::parts(content_type(&headers), &body).ok_or_else(|| {
            ApiError::bad_request(
                "INVALIDJOB",
                "InvalidJob : The multipart body needs the parts job and content",
            )
        })?;
        let (job, content) =
            (body.get(job).unwrap_or_default(), body.get(content).unwrap_or_default());
        if String::from_utf8_lossy(content).chars().count() > limit {
            return Err(ApiError::bad_request(
                "CLIENTINPUTERROR",
                format!("ClientInputError : The content has more than {limit} characters"),
            ));
        }
        let (job, content) = (job.to_vec(), content.to_vec());
        blocking(move || ingest.create_with(&job, &content, &user.id, &version.0)).await?
    } else {
        return Err(unsupported(&headers));
    };
    Ok(json_reply(StatusCode::OK, &reply))
}

async fn list(
    State(ingest): State<Ingest>,
    Extension(version): Extension<ApiVersion>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = pairs(query.as_deref().unwrap_or_default());
    let body = blocking(move || ingest.list(&query, &version.0)).await?;
    Ok(json_reply(StatusCode::OK, &body))
}

async fn info(
    State(ingest): State<Ingest>,
    Extension(user): Extension<CurrentUser>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let job = blocking(move || ingest.job(&id, &user.id)).await?;
    Ok(json_reply(StatusCode::OK, &job.json(Shape::Info)))
}

async fn patch(
    State(ingest): State<Ingest>,
    Extension(user): Extension<CurrentUser>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    if !is_type(&headers, "application/json") {
        return Err(unsupported(&headers));
    }
    let body = small_body(&headers, body, JSON_LIMIT).await?;
    let reply = blocking(move || {
        let job = ingest.job(&id, &user.id)?;
        let body: Json = serde_json::from_slice(&body)
            .map_err(|error| ApiError::bad_request("JSON_PARSER_ERROR", error.to_string()))?;
        match body.get("state").and_then(Json::as_str) {
            Some("UploadComplete") => ingest.close(&job),
            Some("Aborted") => ingest.abort(&job),
            Some(other) => Err(illegal_state(format!("A job can't be set to state {other}"))),
            None => Err(ApiError::bad_request("INVALIDJOB", "InvalidJob : No state specified")),
        }
    })
    .await?;
    Ok(json_reply(StatusCode::OK, &reply))
}

async fn delete(
    State(ingest): State<Ingest>,
    Extension(user): Extension<CurrentUser>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    blocking(move || {
        let job = ingest.job(&id, &user.id)?;
        ingest.delete(&job)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn upload(
    State(ingest): State<Ingest>,
    Extension(user): Extension<CurrentUser>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let coding = coding(&headers)
        .filter(|coding| *coding == Coding::Plain || ingest.inner.settings.compressed_uploads);
    // A body that is refused is read to the end all the same, or the client hears
    // of a broken connection instead of the refusal.
    let (Some(coding), true) = (coding, is_type(&headers, "text/csv")) else {
        drain(body).await?;
        return Err(unsupported(&headers));
    };
    let arriving = blocking(move || {
        let job = ingest.job(&id, &user.id)?;
        ingest.start_upload(&job)
    })
    .await;
    match arriving {
        Ok(Some(arriving)) => receive(arriving, coding, body).await?,
        Ok(None) => drain(body).await?,
        Err(refusal) => {
            drain(body).await?;
            return Err(refusal);
        }
    }
    Ok(StatusCode::CREATED)
}

fn broken_off(_: axum::Error) -> ApiError {
    ApiError::bad_request("CLIENTINPUTERROR", "ClientInputError : The upload broke off")
}

async fn drain(body: Body) -> Result<(), ApiError> {
    let mut body = body.into_data_stream();
    while let Some(piece) = body.next().await {
        piece.map_err(broken_off)?;
    }
    Ok(())
}

/// Streams a body into the job's file, a piece at a time.
async fn receive(arriving: Arriving, coding: Coding, body: Body) -> Result<(), ApiError> {
    let mut body = body.into_data_stream();
    let mut sink = Sink::new(arriving, coding);
    let mut piece: Vec<u8> = Vec::with_capacity(PIECE);
    loop {
        let more = body.next().await.transpose().map_err(broken_off)?;
        let ended = more.is_none();
        if let Some(bytes) = more {
            piece.extend_from_slice(&bytes);
        }
        if piece.len() >= PIECE || ended {
            let full = std::mem::take(&mut piece);
            sink = blocking(move || {
                sink.write(&full)?;
                Ok(sink)
            })
            .await?;
        }
        if ended {
            return blocking(move || sink.finish()).await;
        }
    }
}

/// Where an upload's bytes go: through a decoder, if need be, into its file.
enum Sink {
    Plain(Target),
    Gzip(flate2::write::MultiGzDecoder<Target>),
    Deflate(flate2::write::ZlibDecoder<Target>),
}

struct Target(Arriving);

impl Write for Target {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self.0.writer() {
            Some(upload) => upload.write(data),
            None => Ok(data.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn new(arriving: Arriving, coding: Coding) -> Sink {
        let target = Target(arriving);
        match coding {
            Coding::Plain => Sink::Plain(target),
            Coding::Gzip => Sink::Gzip(flate2::write::MultiGzDecoder::new(target)),
            Coding::Deflate => Sink::Deflate(flate2::write::ZlibDecoder::new(target)),
        }
    }

    fn write(&mut self, data: &[u8]) -> Result<(), ApiError> {
        let written = match self {
            Sink::Plain(target) => {
                return target.write_all(data).map_err(|error| ApiError::internal(&error));
            }
            Sink::Gzip(decoder) => decoder.write_all(data),
            Sink::Deflate(decoder) => decoder.write_all(data),
        };
        written.map_err(|_| undecodable())
    }

    fn finish(self) -> Result<(), ApiError> {
        let target = match self {
            Sink::Plain(target) => target,
            Sink::Gzip(decoder) => decoder.finish().map_err(|_| undecodable())?,
            Sink::Deflate(decoder) => decoder.finish().map_err(|_| undecodable())?,
        };
        target.0.finish()
    }
}

fn undecodable() -> ApiError {
    ApiError::bad_request("CLIENTINPUTERROR", "ClientInputError : The upload can't be decoded")
}

async fn result_set(
    State(ingest): State<Ingest>,
    Extension(user): Extension<CurrentUser>,
    Extension(version): Extension<ApiVersion>,
    Path((id, set)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let set = ResultSet::of(&set).ok_or_else(ApiError::not_found)?;
    let answer = blocking(move || {
        let job = ingest.job(&id, &user.id)?;
        results::open(&ingest.inner, &job, set, &version.0)
    })
    .await?;
    Ok(match answer {
        Answer::NoContent => StatusCode::NO_CONTENT.into_response(),
        Answer::Body(read) => {
            ([(header::CONTENT_TYPE, "text/csv")], stream_of(read)).into_response()
        }
    })
}

/// A body that is read off the async threads as the client takes it.
fn stream_of(read: Box<dyn Read + Send>) -> Body {
    Body::from_stream(stream::unfold(Some(read), async |state| {
        let mut read = state?;
        let next = tokio::task::spawn_blocking(move || {
            let mut piece = Vec::new();
            read.by_ref().take(PIECE as u64).read_to_end(&mut piece).map(|_| (piece, read))
        })
        .await;
        match next {
            Ok(Ok((piece, _))) if piece.is_empty() => None,
            Ok(Ok((piece, read))) => Some((Ok(Bytes::from(piece)), Some(read))),
            Ok(Err(error)) => Some((Err(error), None)),
            Err(panicked) => Some((Err(io::Error::other(panicked)), None)),
        }
    }))
}
