//! Replies compressed when the client asks for it, without holding them.

use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::Stream;

/// Below this many bytes compression costs more than it saves.
const SMALL: u64 = 512;

/// Whether a request accepts gzip.
pub(crate) fn wanted(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let refused = parts.any(|part| {
                part.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()) == Some(0.0)
            });
            (name.eq_ignore_ascii_case("gzip") || name == "*") && !refused
        })
}

/// In the extensions of a reply that is to go as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uncompressed;

/// The reply with its body compressed as it is read.
pub(crate) fn compressed(reply: Response) -> Response {
    let small = reply.body().size_hint().upper().is_some_and(|bytes| bytes < SMALL);
    let bodiless = matches!(reply.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let kept = reply.extensions().get::<Uncompressed>().is_some();
    if small || bodiless || kept || reply.headers().contains_key(header::CONTENT_ENCODING) {
        return reply;
    }
    let (mut parts, body) = reply.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let stream = Gzipped { body: body.into_data_stream(), encoder: Some(encoder) };
    Response::from_parts(parts, Body::from_stream(stream))
}

struct Gzipped {
    body: BodyDataStream,
    /// Gone once the end was written.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl Stream for Gzipped {
    type Item = Result<Bytes, axum::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.encoder.is_none() {
                return Poll::Ready(None);
            }
            let next = ready!(Pin::new(&mut self.body).poll_next(cx));
            let Some(encoder) = self.encoder.as_mut() else { return Poll::Ready(None) };
            match next {
                Some(Ok(bytes)) => {
                    if let Err(error) = encoder.write_all(&bytes) {
                        return Poll::Ready(Some(Err(error.into())));
                    }
                    let out = std::mem::take(encoder.get_mut());
                    // The encoder may still be gathering.
                    if !out.is_empty() {
                        return Poll::Ready(Some(Ok(out.into())));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => {
                    let end = self.encoder.take().map(GzEncoder::finish);
                    return Poll::Ready(end.map(|end| Ok(end?.into())));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn asked(value: &'static str) -> bool {
        wanted(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]))
    }

    #[test]
    fn only_who_asks_gets_it() {
        assert!(asked("gzip") && asked("deflate, GZIP;q=0.8") && asked("*"));
        assert!(!asked("identity") && !asked("gzip;q=0") && !asked("br"));
        assert!(!wanted(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn a_streamed_body_comes_out_whole() {
        let pieces: Vec<Vec<u8>> =
            (0..200_u32).map(|n| format!("row {n},").repeat(50).into_bytes()).collect();
        let whole = pieces.concat();
        let stream = futures_util::stream::iter(
            pieces.into_iter().map(Ok::<Vec<u8>, std::convert::Infallible>),
        );
        let reply = compressed(Response::new(Body::from_stream(stream)));
        assert_eq!(reply.headers()[header::CONTENT_ENCODING], "gzip");
        let bytes = axum::body::to_bytes(reply.into_body(), usize::MAX).await.unwrap();
        assert!(bytes.len() < whole.len() / 4);
        let mut out = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut out).unwrap();
        assert_eq!(out, whole);
    }

    #[test]
    fn small_and_empty_replies_stay_plain() {
        let reply = compressed(Response::new(Body::from("short")));
        assert!(!reply.headers().contains_key(header::CONTENT_ENCODING));
    }
}
