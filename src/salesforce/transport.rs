//! One request, one reply. The only file that names the HTTP library, so that
//! everything about sockets, TLS, proxies and redirects is decided here.
//!
//! - HTTP/1.1 with keep-alive: one connection a lane carries a body faster
//!   than lanes sharing one HTTP/2 window.
//! - TLS 1.3 through rustls with ring, 1.2 only when asked for.
//! - No redirect is followed: a token never leaves for another host.
//! - Plain http reaches this machine alone, and never through a proxy.
//! - No overall time-out (a body may take an hour); a call fails when nothing
//!   moved either way for its patience.
//! - Replies are gunzipped where gzip was asked for; a reply that ends before its announced end is an
//!   error, never a short text.

use std::io::Write as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::write::MultiGzDecoder;
use futures_util::{Stream, StreamExt as _};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    HeaderMap, HeaderName, HeaderValue,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use super::error::{Happened, Kind};
use super::usage::Counters;

/// Time a connection may take to come about, TLS among it.
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);
/// Idle connections are dropped before load balancers drop them unasked.
const IDLE: Duration = Duration::from_secs(50);
/// The largest reply that is read into memory; a page of 2,000 long records
/// stays well below.
const LARGEST_REPLY: usize = 64 << 20;
/// Bytes of a body that are unpacked at a time: gzip grows by a factor of 1,032
/// at most, here to 17 MB, by five or so in truth.
const UNPACKED_AT_ONCE: usize = 16 << 10;
const GZIP: &str = "gzip";

/// An address a token may be sent to: https anywhere, http on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BaseUrl {
    origin: String,
    plain: bool,
}

impl BaseUrl {
    /// Reads an address; only its scheme, host and port are kept. Without a
    /// scheme, https is meant.
    ///
    /// # Errors
    /// One line on what is wrong with it. The text itself is only named as
    /// far as its host, since people paste URLs with secrets in them.
    pub(super) fn parse(text: &str) -> Result<BaseUrl, String> {
        let text = text.trim();
        let full = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let url = reqwest::Url::parse(&full).map_err(|_| "it is no URL".to_owned())?;
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| "it names no host".to_owned())?.to_owned();
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it holds a user name or password, which don't belong there".to_owned());
        }
        let plain = match url.scheme() {
            "https" => false,
            "http" if is_this_machine(&host) => true,
            "http" => return Err(format!("plain http to {host} would show the token to others")),
            _ => return Err("only https is spoken".to_owned()),
        };
        if host.ends_with(".lightning.force.com") || host.ends_with(".salesforce-setup.com") {
            return Err(format!("{host} serves pages for browsers; use …my.salesforce.com"));
        }
        Ok(BaseUrl { origin: url.origin().ascii_serialization(), plain })
    }

    /// Scheme, host and port, without a slash at the end.
    pub(super) fn as_str(&self) -> &str {
        &self.origin
    }

    /// Whether it is plain http, which is to say on this machine.
    pub(super) const fn is_plain(&self) -> bool {
        self.plain
    }
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => bare == "localhost" || bare.ends_with(".localhost"),
    }
}

/// HTTP methods in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

/// Pieces of a body, in order.
pub(super) type Pieces = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// What a request carries.
pub(super) enum Body {
    Nothing,
    Whole { content_type: &'static str, bytes: Bytes },
    Streamed { content_type: &'static str, len: Option<u64>, pieces: Pieces },
}

/// One request, ready to go.
pub(super) struct Outgoing<'a> {
    pub method: Method,
    pub url: String,
    pub token: Option<&'a SecretString>,
    pub accept: &'static str,
    pub header: Option<(&'static str, &'a str)>,
    pub body: Body,
    /// Time without a byte moving either way after which it is given up.
    pub patience: Duration,
}

/// A request that got no usable reply.
#[derive(Debug)]
pub(super) struct Fault {
    pub kind: Kind,
    pub happened: Happened,
    pub cause: Option<Cause>,
}

/// The innermost cause of a transport fault in words; URLs are left out.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Cause(String);

/// The HTTP client of one connection.
#[derive(Debug)]
pub(super) struct Transport {
    client: reqwest::Client,
    /// Whether replies are asked for in gzip.
    gzip: bool,
    counters: Arc<Counters>,
}

impl Transport {
    /// Makes a client for an address of this kind.
    ///
    /// # Errors
    /// When TLS can't be set up, for want of CA certificates on the machine.
    pub(super) fn new(
        base: &BaseUrl,
        lanes: usize,
        allow_tls12: bool,
        gzip: bool,
        counters: Arc<Counters>,
    ) -> Result<Self, Fault> {
        // Fails only when a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let oldest = if allow_tls12 {
            reqwest::tls::Version::TLS_1_2
        } else {
            reqwest::tls::Version::TLS_1_3
        };
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("bulkhaul/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_PATIENCE)
            .pool_idle_timeout(IDLE)
            // One for each lane, and some for polls and result sets.
            .pool_max_idle_per_host(lanes.saturating_add(4))
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(30))
            .tls_version_min(oldest);
        if base.is_plain() {
            // No proxy stands between two programs of one machine, and a
            // machine without CA certificates must still reach its local org.
            builder = builder.no_proxy().tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| Fault {
            kind: Kind::Tls,
            happened: Happened::No,
            cause: Some(innermost(&error)),
        })?;
        Ok(Transport { client, gzip, counters })
    }

    /// What the calls of this connection used.
    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Sends one request and waits for the head of its reply.
    ///
    /// # Cancel safety
    /// Dropping it breaks the connection; the org may have got the request.
    pub(super) async fn send(&self, outgoing: Outgoing<'_>) -> Result<Incoming, Fault> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(outgoing.accept));
        if self.gzip {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(GZIP));
        }
        if let Some(token) = outgoing.token {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
                .map_err(|_| Fault {
                    kind: Kind::Login,
                    happened: Happened::No,
                    cause: Some(Cause("the token holds characters no token has".to_owned())),
                })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        if let Some((name, value)) = outgoing.header
            && let Ok(value) = HeaderValue::from_str(value)
        {
            headers.insert(HeaderName::from_static(name), value);
        }
        let method = match outgoing.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        #[cfg(test)]
        let held = super::scripted::HeldClock::hold();
        let pulse = Pulse::new();
        let mut request = self.client.request(method, outgoing.url);
        match outgoing.body {
            Body::Nothing => {}
            Body::Whole { content_type, bytes } => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
                self.counters.up(bytes.len() as u64);
                request = request.body(bytes);
            }
            Body::Streamed { content_type, len, pieces } => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
                if let Some(len) = len {
                    // Spares the chunked encoding; a body that then ends
                    // early breaks the connection, so it can't be taken for
                    // whole.
                    headers.insert(CONTENT_LENGTH, HeaderValue::from(len));
                }
                let counters = Arc::clone(&self.counters);
                let beat = pulse.clone();
                let watched = pieces.inspect(move |piece| {
                    beat.beat();
                    if let Ok(bytes) = piece {
                        counters.up(bytes.len() as u64);
                    }
                });
                request = request.body(reqwest::Body::wrap_stream(watched));
            }
        }
        let answer = request.headers(headers).send();
        let response = pulse.guard(outgoing.patience, answer).await?.map_err(|e| fault(&e))?;
        let coding = response.headers().get(CONTENT_ENCODING);
        let incoming = Incoming {
            status: response.status().as_u16(),
            gzipped: coding
                .is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(GZIP.as_bytes())),
            response,
            patience: outgoing.patience,
            counters: Arc::clone(&self.counters),
            #[cfg(test)]
            _held: held,
        };
        if let Some(info) = incoming.header("sforce-limit-info") {
            self.counters.limit_info(info);
        }
        Ok(incoming)
    }
}

/// A reply whose body is still coming.
#[derive(Debug)]
pub(super) struct Incoming {
    pub status: u16,
    /// Whether the body comes in gzip.
    gzipped: bool,
    response: reqwest::Response,
    patience: Duration,
    counters: Arc<Counters>,
    /// A paused test clock must not run ahead of a real socket.
    #[cfg(test)]
    _held: super::scripted::HeldClock,
}

impl Incoming {
    /// A header of the reply.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// What makes text of the pieces of the body.
    pub(super) fn unpacker(&self) -> Unpacker {
        let gzip = self.gzipped.then(|| MultiGzDecoder::new(Vec::new()));
        Unpacker { gzip, begun: false, counters: Arc::clone(&self.counters) }
    }

    /// The next piece of the body as it comes over the wire; `None` at its
    /// proper end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, Fault> {
        tokio::time::timeout(self.patience, self.response.chunk())
            .await
            .map_err(|_| stalled())?
            .map_err(|error| fault(&error))
    }

    /// The whole body, if it is of a size that belongs in memory.
    pub(super) async fn whole(mut self) -> Result<Bytes, Fault> {
        let mut body = BytesMut::new();
        let mut unpacker = self.unpacker();
        while let Some(piece) = self.piece().await? {
            for part in unpacker.parts(&piece) {
                let text = unpacker.unpack(part)?;
                if body.len() + text.len() > LARGEST_REPLY {
                    let cause = Cause(format!("it is larger than {} MiB", LARGEST_REPLY >> 20));
                    return Err(Fault {
                        kind: Kind::Reply,
                        happened: Happened::Maybe,
                        cause: Some(cause),
                    });
                }
                body.extend_from_slice(text);
            }
        }
        body.extend_from_slice(unpacker.finish()?);
        Ok(body.freeze())
    }

    /// The beginning of the body, as much as an error text needs; whatever
    /// goes wrong while reading it is not worth a word.
    pub(super) async fn beginning(mut self) -> Vec<u8> {
        const ENOUGH: usize = 64 << 10;
        let mut body = Vec::new();
        let mut unpacker = self.unpacker();
        while body.len() < ENOUGH
            && let Ok(Some(piece)) = self.piece().await
        {
            for part in unpacker.parts(&piece) {
                let Ok(text) = unpacker.unpack(part) else { break };
                body.extend_from_slice(text.get(..ENOUGH - body.len()).unwrap_or(text));
            }
        }
        body.extend_from_slice(unpacker.finish().unwrap_or_default());
        body.truncate(ENOUGH);
        body
    }
}

/// Makes text of the pieces of a body, which may be in gzip. Plain code, so that
/// whole result sets are unpacked where they are written and not on the threads
/// that serve the sockets.
pub(super) struct Unpacker {
    gzip: Option<MultiGzDecoder<Vec<u8>>>,
    /// Whether anything came: an empty body is no gzip and is right all the same.
    begun: bool,
    counters: Arc<Counters>,
}

impl Unpacker {
    /// A piece in parts of a size to be unpacked, or as a whole.
    pub(super) fn parts<'p>(&self, piece: &'p [u8]) -> std::slice::Chunks<'p, u8> {
        piece.chunks(if self.gzip.is_some() { UNPACKED_AT_ONCE } else { piece.len().max(1) })
    }

    /// The text of a part; it may come with a later one.
    pub(super) fn unpack<'a>(&'a mut self, piece: &'a [u8]) -> Result<&'a [u8], Fault> {
        self.begun |= !piece.is_empty();
        let text = match &mut self.gzip {
            None => piece,
            Some(decoder) => {
                decoder.get_mut().clear();
                decoder.write_all(piece).map_err(|error| damaged(&error))?;
                decoder.get_ref()
            }
        };
        self.counters.down(text.len() as u64);
        Ok(text)
    }

    /// What is left of the text when all pieces came. Gzip that ends early, or
    /// whose checksum is wrong, is an error.
    pub(super) fn finish(&mut self) -> Result<&[u8], Fault> {
        let Some(decoder) = self.gzip.as_mut().filter(|_| self.begun) else { return Ok(b"") };
        decoder.get_mut().clear();
        decoder.try_finish().map_err(|error| damaged(&error))?;
        self.counters.down(decoder.get_ref().len() as u64);
        Ok(decoder.get_ref())
    }
}

fn damaged(error: &std::io::Error) -> Fault {
    let cause = Cause(super::refusal::one_line(&error.to_string(), 200));
    Fault { kind: Kind::Broken, happened: Happened::Maybe, cause: Some(cause) }
}

/// When something last moved.
#[derive(Debug, Clone)]
struct Pulse(Arc<Mutex<Instant>>);

impl Pulse {
    fn new() -> Self {
        Pulse(Arc::new(Mutex::new(Instant::now())))
    }

    fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a future for as long as there was a beat within the patience.
    async fn guard<F: Future>(&self, patience: Duration, work: F) -> Result<F::Output, Fault> {
        tokio::pin!(work);
        loop {
            let deadline = self.last() + patience;
            tokio::select! {
                output = &mut work => return Ok(output),
                () = tokio::time::sleep_until(deadline) => {
                    if self.last() + patience <= Instant::now() {
                        return Err(stalled());
                    }
                }
            }
        }
    }
}

fn stalled() -> Fault {
    Fault { kind: Kind::Stalled, happened: Happened::Maybe, cause: None }
}

/// Sorts a failure by *where* it broke: before the request left (it certainly
/// did not happen) or after (it may have).
fn fault(error: &reqwest::Error) -> Fault {
    let (kind, happened) = if error.is_builder() {
        (Kind::Address, Happened::No)
    } else if is_tls(error) {
        // A handshake comes before any request; an alert in the middle of a
        // connection is a broken connection.
        if error.is_connect() { (Kind::Tls, Happened::No) } else { (Kind::Broken, Happened::Maybe) }
    } else if error.is_connect() {
        (Kind::Connect, Happened::No)
    } else if error.is_timeout() {
        (Kind::Stalled, Happened::Maybe)
    } else {
        (Kind::Broken, Happened::Maybe)
    };
    Fault { kind, happened, cause: Some(innermost(error)) }
}

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        // An io::Error around another error hides it from `source`.
        match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn std::error::Error + 'static)),
            None => error.source(),
        }
    })
}

fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    causes(error).any(|cause| cause.downcast_ref::<rustls::Error>().is_some())
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> Cause {
    // The outermost names the URL; the causes within don't.
    let text = causes(error).skip(1).last().map_or_else(
        || "the request could not be made".to_owned(),
        std::string::ToString::to_string,
    );
    Cause(super::refusal::one_line(&text, 200))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn only_https_or_this_machine_gets_a_token() {
        let good = [
            ("https://acme.my.salesforce.com/some/path?x=1", "https://acme.my.salesforce.com"),
            ("acme.my.salesforce.com", "https://acme.my.salesforce.com"),
            ("HTTPS://ACME.my.salesforce.com:8443/", "https://acme.my.salesforce.com:8443"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://127.9.9.9:1/", "http://127.9.9.9:1"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
            ("http://localhost:9", "http://localhost:9"),
        ];
        for (text, origin) in good {
            assert_eq!(BaseUrl::parse(text).unwrap().as_str(), origin, "{text}");
        }
        let bad = [
            "http://acme.my.salesforce.com",
            "http://localhost.evil.example",
            "http://127.0.0.1.evil.example",
            "http://192.168.1.1",
            "ftp://acme.my.salesforce.com",
            "https://",
            "",
            "https://user:hunter2@acme.my.salesforce.com",
            "https://acme.lightning.force.com",
        ];
        for text in bad {
            let why = BaseUrl::parse(text).unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_stalls_only_when_nothing_moves() {
        let pulse = Pulse::new();
        let beat = pulse.clone();
        // Beats for 100 s with a patience of 20 s, then no more.
        let work = async move {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(10)).await;
                beat.beat();
            }
            std::future::pending::<()>().await;
        };
        let started = Instant::now();
        let fault = pulse.guard(Duration::from_secs(20), work).await.unwrap_err();
        assert_eq!(fault.kind, Kind::Stalled);
        assert_eq!(started.elapsed().as_secs(), 120);
    }

    /// The TLS versions a client offers, from its first message on the wire
    /// (RFC 8446, 4.2.1: extension 43).
    async fn offered_versions(allow_tls12: bool) -> Vec<u16> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let base = BaseUrl::parse(&format!("https://{address}")).unwrap();
        // Any address on this machine will do; no certificates are needed to
        // say hello.
        let plain = BaseUrl { plain: true, ..base.clone() };
        let transport = Transport::new(&plain, 1, allow_tls12, true, Arc::default()).unwrap();
        let hello = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut head = [0u8; 5];
            socket.read_exact(&mut head).await.unwrap();
            let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
            socket.read_exact(&mut hello).await.unwrap();
            hello
        });
        let fault = transport
            .send(Outgoing {
                method: Method::Get,
                url: base.as_str().to_owned(),
                token: None,
                accept: "*/*",
                header: None,
                body: Body::Nothing,
                patience: Duration::from_secs(20),
            })
            .await
            .unwrap_err();
        assert_eq!(fault.happened, Happened::No);
        let hello = hello.await.unwrap();
        let word = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
        let session = 4 + 2 + 32;
        let ciphers = session + 1 + usize::from(hello[session]);
        let compressions = ciphers + 2 + word(ciphers);
        let mut at = compressions + 1 + usize::from(hello[compressions]) + 2;
        while word(at) != 43 {
            at += 4 + word(at + 2);
        }
        let count = usize::from(hello[at + 4]) / 2;
        (0..count).map(|i| word(at + 5 + 2 * i) as u16).collect()
    }

    #[tokio::test]
    async fn tls_is_1_3_unless_1_2_is_asked_for() {
        assert_eq!(offered_versions(false).await, [0x0304]);
        assert_eq!(offered_versions(true).await, [0x0304, 0x0303]);
    }
}
