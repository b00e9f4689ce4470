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
    /// What to do about this very cause, where it is known.
    pub advice: Option<&'static str>,
}

/// The innermost cause of a transport fault in words; URLs are left out.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Cause(String);

/// Certificates of authorities that are trusted besides those of the machine.
#[derive(Clone, Default)]
pub struct CaBundle(Vec<reqwest::Certificate>);

impl std::fmt::Debug for CaBundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CaBundle({})", self.0.len())
    }
}

impl CaBundle {
    /// Reads all certificates of a PEM text.
    ///
    /// # Errors
    /// One line on what is wrong with it.
    pub fn parse(pem: &[u8]) -> Result<CaBundle, &'static str> {
        match reqwest::Certificate::from_pem_bundle(pem) {
            Ok(found) if found.is_empty() => Err("it holds no certificate in PEM"),
            Ok(found) => Ok(CaBundle(found)),
            Err(_) => Err("a certificate in it can't be read"),
        }
    }
}

/// What TLS is to be like.
#[derive(Debug, Clone, Default)]
pub(super) struct TlsOptions {
    /// Takes TLS 1.2, too.
    pub allow_tls12: bool,
    /// Authorities trusted besides those of the machine.
    pub more_authorities: CaBundle,
}

/// The HTTP client of one connection; cheap to clone.
#[derive(Debug, Clone)]
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
        tls: &TlsOptions,
        gzip: bool,
        counters: Arc<Counters>,
    ) -> Result<Self, Fault> {
        // Fails only when a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let oldest = if tls.allow_tls12 {
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
        } else if !tls.more_authorities.0.is_empty() {
            builder = builder.tls_certs_merge(tls.more_authorities.0.iter().cloned());
        }
        let client = builder.build().map_err(|error| Fault {
            kind: Kind::Tls,
            happened: Happened::No,
            cause: Some(innermost(&error)),
            advice: Some(NO_AUTHORITIES),
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
                    advice: None,
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
                        advice: None,
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
    Fault { kind: Kind::Broken, happened: Happened::Maybe, cause: Some(cause), advice: None }
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
    Fault { kind: Kind::Stalled, happened: Happened::Maybe, cause: None, advice: None }
}

/// Sorts a failure by *where* it broke: before the request left (it certainly
/// did not happen) or after (it may have).
fn fault(error: &reqwest::Error) -> Fault {
    let texts: Vec<String> = causes(error).skip(1).map(ToString::to_string).collect();
    let said = |start: &str| texts.iter().any(|text| text.starts_with(start));
    let mut advice = None;
    let (kind, happened) = if error.is_builder() {
        (Kind::Address, Happened::No)
    } else if let Some(tls) = tls_error(error) {
        // A handshake comes before any request; an alert in the middle of a
        // connection is a broken connection.
        if error.is_connect() {
            advice = tls_advice(tls);
            (Kind::Tls, Happened::No)
        } else {
            (Kind::Broken, Happened::Maybe)
        }
    } else if said("tunnel error") {
        advice = Some(if said("tunnel error: proxy authorization") {
            PROXY_WANTS_PASSWORD
        } else if said("tunnel error: failed to create") {
            PROXY_AWAY
        } else {
            PROXY_UNWILLING
        });
        (Kind::Proxy, Happened::No)
    } else if said("dns error") {
        (Kind::HostName, Happened::No)
    } else if error.is_connect() {
        (Kind::Connect, Happened::No)
    } else if error.is_timeout() {
        (Kind::Stalled, Happened::Maybe)
    } else {
        (Kind::Broken, Happened::Maybe)
    };
    Fault { kind, happened, cause: Some(innermost(error)), advice }
}

const NO_AUTHORITIES: &str = "This machine has no CA certificates: install them (Debian: \
    ca-certificates), or name a PEM file in BULKHAUL_CA_FILE.";
const PROXY_WANTS_PASSWORD: &str = "The proxy wants a user name and a password: \
    HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT (percent-encoded).";
const PROXY_AWAY: &str = "The proxy named in HTTPS_PROXY can't be reached: check it, or leave it \
    out for this host with NO_PROXY.";
const PROXY_UNWILLING: &str = "The proxy named in HTTPS_PROXY would not connect to this host. Have \
    it allowed there, or leave the proxy out for this host with NO_PROXY.";
const UNKNOWN_ISSUER: &str = "Nobody this machine trusts has signed that certificate. Behind a \
    firewall that breaks up connections, name the file with its CA certificate (PEM) in \
    BULKHAUL_CA_FILE; otherwise check the address.";
const OTHER_NAME: &str = "The certificate is for another host: check the address. Use the My \
    Domain (https://NAME.my.salesforce.com), no alias and no IP address.";
const WRONG_TIME: &str = "Check this machine's clock; if it is right, the other side's \
    certificate has run out.";
const OLD_TLS: &str = "The other side does not speak TLS 1.3. Salesforce does, so a firewall or \
    proxy stands between; if it can do no better, allow TLS 1.2 with BULKHAUL_ALLOW_TLS12=true.";
const NO_TLS: &str = "What answers at this address and port does not speak TLS. Check both.";

/// What to do about a failed handshake.
fn tls_advice(error: &rustls::Error) -> Option<&'static str> {
    use rustls::{AlertDescription, CertificateError as Bad, Error};
    Some(match error {
        Error::InvalidCertificate(bad) => match bad {
            Bad::UnknownIssuer | Bad::BadSignature => UNKNOWN_ISSUER,
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => OTHER_NAME,
            Bad::Expired
            | Bad::ExpiredContext { .. }
            | Bad::NotValidYet
            | Bad::NotValidYetContext { .. } => WRONG_TIME,
            _ => return None,
        },
        Error::AlertReceived(AlertDescription::ProtocolVersion) | Error::PeerIncompatible(_) => {
            OLD_TLS
        }
        Error::InvalidMessage(_) => NO_TLS,
        _ => return None,
    })
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

fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    causes(error).find_map(|cause| cause.downcast_ref())
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
mod tests;
