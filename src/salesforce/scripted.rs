//! A scripted org for tests: a real socket and real HTTP/1.1, whose answers a
//! closure writes byte for byte, so that cut bodies, hang-ups and odd headers
//! can be played. It shares nothing with the client but the socket.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, mpsc};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{ConnectOptions, Login, Org};
use crate::domain::SharedSink;

/// Keeps a paused test clock where it is while a request is on its way. Tokio
/// moves such a clock on whenever only timers are left to wait for, and takes
/// no notice of sockets; a blocking task holds it back.
#[derive(Debug)]
pub(super) struct HeldClock {
    _until_dropped: mpsc::Sender<()>,
}

impl HeldClock {
    pub(super) fn hold() -> HeldClock {
        let (sender, receiver) = mpsc::channel();
        tokio::task::spawn_blocking(move || receiver.recv());
        HeldClock { _until_dropped: sender }
    }
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub method: String,
    pub path: String,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }
}

/// What the org does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Answers with a status, header lines and a body of announced length.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Announces more bytes than it sends, then hangs up.
    Cut(u16, Vec<u8>, usize),
    /// Sends a chunked body without its end, then hangs up.
    CutChunked(u16, Vec<u8>),
    /// Sends a whole chunked body in pieces.
    Chunked(u16, Vec<Vec<u8>>),
    /// Hangs up without a word.
    HangUp,
}

pub(crate) fn json(status: u16, body: &str) -> Act {
    Act::Answer(status, vec![("Content-Type", "application/json".into())], body.into())
}

type Behaviour = dyn Fn(&Seen) -> Act + Send + Sync;

/// The org; it lives as long as the test's runtime.
pub(crate) struct ScriptedOrg {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

pub(crate) const ORG_ID: &str = "00D7Q000001AbCdUAK";
pub(crate) const VERSIONS: &str = r#"[{"label":"Winter","url":"/services/data/v62.0","version":"62.0"},
        {"label":"Spring","url":"/services/data/v66.0","version":"66.0"},
        {"label":"Later","url":"/services/data/v70.0","version":"70.0"}]"#;

impl ScriptedOrg {
    /// Starts an org. What connecting needs is answered by itself; the rest by
    /// the behaviour, which also sees the connecting calls when it wants to by
    /// answering them first with [`Some`].
    pub(crate) async fn start(
        behaviour: impl Fn(&Seen) -> Option<Act> + Send + Sync + 'static,
    ) -> ScriptedOrg {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let own_url = url.clone();
        let whole: Arc<Behaviour> = Arc::new(move |request: &Seen| {
            behaviour(request).unwrap_or_else(|| usual(request, &own_url))
        });
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&whole), Arc::clone(&log)));
            }
        });
        ScriptedOrg { url, seen }
    }

    /// Connects to it with the patience that users get; for tests with a
    /// paused clock.
    pub(crate) async fn connect(&self, events: SharedSink) -> Org {
        let token = format!("{}!scripted", &ORG_ID[..15]).into();
        let login = Login::Token { instance_url: self.url.clone(), token };
        let options = ConnectOptions { events, ..ConnectOptions::default() };
        Org::connect(login, options).await.unwrap()
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Requests so far whose path contains this.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.seen().iter().filter(|request| request.path.contains(part)).count()
    }
}

fn usual(request: &Seen, url: &str) -> Act {
    match request.path.as_str() {
        "/services/data/" => json(200, VERSIONS),
        "/services/oauth2/userinfo" => json(
            200,
            r#"{"user_id":"0057Q000002xYzQ","organization_id":"00D7Q000001AbCd",
                "preferred_username":"admin@acme.example"}"#,
        ),
        "/services/oauth2/token" => {
            json(200, &format!(r#"{{"access_token":"00Dx!fresh","instance_url":"{url}"}}"#))
        }
        path if path.contains("Organization") => json(
            200,
            &format!(
                r#"{{"totalSize":1,"done":true,"records":[{{"attributes":{{}},"Id":"{ORG_ID}",
                "Name":"Acme","IsSandbox":true,"OrganizationType":"Enterprise Edition"}}]}}"#
            ),
        ),
        _ => json(404, r#"[{"errorCode":"NOT_FOUND","message":"nothing there"}]"#),
    }
}

async fn serve(mut socket: TcpStream, behaviour: Arc<Behaviour>, log: Arc<Mutex<Vec<Seen>>>) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut socket, &mut buffer).await {
        log.lock().unwrap().push(request.clone());
        let (bytes, keep) = render(behaviour(&request));
        if socket.write_all(&bytes).await.is_err() || !keep {
            let _ = socket.shutdown().await;
            return;
        }
    }
}

fn render(act: Act) -> (Vec<u8>, bool) {
    let head =
        |status: u16, extra: &str| format!("HTTP/1.1 {status} X\r\n{extra}\r\n").into_bytes();
    match act {
        Act::Answer(status, headers, body) => {
            let mut extra = format!("Content-Length: {}\r\n", body.len());
            for (name, value) in headers {
                let _ = write!(extra, "{name}: {value}\r\n");
            }
            let mut bytes = head(status, &extra);
            bytes.extend(body);
            (bytes, true)
        }
        Act::Cut(status, body, missing) => {
            let mut bytes = head(status, &format!("Content-Length: {}\r\n", body.len() + missing));
            bytes.extend(body);
            (bytes, false)
        }
        Act::CutChunked(status, body) => {
            let mut bytes = head(status, "Transfer-Encoding: chunked\r\n");
            bytes.extend(format!("{:x}\r\n", body.len()).bytes());
            bytes.extend(body);
            bytes.extend(b"\r\n");
            (bytes, false)
        }
        Act::Chunked(status, pieces) => {
            let mut bytes = head(status, "Transfer-Encoding: chunked\r\n");
            for piece in pieces {
                bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
                bytes.extend(piece);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
            (bytes, true)
        }
        Act::HangUp => (Vec::new(), false),
    }
}

async fn fill(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> bool {
    matches!(socket.read_buf(buffer).await, Ok(count) if count > 0)
}

async fn take(socket: &mut TcpStream, buffer: &mut Vec<u8>, count: usize) -> Option<Vec<u8>> {
    while buffer.len() < count {
        if !fill(socket, buffer).await {
            return None;
        }
    }
    let rest = buffer.split_off(count);
    Some(std::mem::replace(buffer, rest))
}

async fn take_line(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(at) = buffer.windows(2).position(|pair| pair == b"\r\n") {
            let mut line = take(socket, buffer, at + 2).await?;
            line.truncate(at);
            return String::from_utf8(line).ok();
        }
        if !fill(socket, buffer).await {
            return None;
        }
    }
}

async fn read_request(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    let first = take_line(socket, buffer).await?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let line = take_line(socket, buffer).await?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut seen = Seen { method, path, headers, body: Vec::new() };
    if seen.header("transfer-encoding") == Some("chunked") {
        loop {
            let size = usize::from_str_radix(&take_line(socket, buffer).await?, 16).ok()?;
            let piece = take(socket, buffer, size).await?;
            take(socket, buffer, 2).await?;
            if size == 0 {
                break;
            }
            seen.body.extend(piece);
        }
    } else if let Some(length) = seen.header("content-length") {
        let length = length.parse().ok()?;
        seen.body = take(socket, buffer, length).await?;
    }
    Some(seen)
}
