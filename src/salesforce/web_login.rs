//! The login by browser, and how its refresh token is ended again.
//!
//! The web-server flow with PKCE (RFC 7636; "OAuth 2.0 Web Server Flow",
//! Salesforce Help), redirected to this machine (RFC 8252, 7.3). The port is
//! fixed beforehand, because Salesforce takes only a callback URL that the app
//! names to the letter. What comes back counts only with the state that was
//! sent along; any other request is turned away and waited past.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::auth::LoginInUse;
use super::encode;
use super::error::{CallError, Happened, Kind};
use super::login::Login;
use super::org::ConnectOptions;
use super::refusal::one_line;
use super::token::{self, Form};
use super::transport::BaseUrl;

/// The path of the callback URL; that of the Salesforce CLI, so that an app
/// made for it fits.
const CALLBACK_PATH: &str = "/OauthRedirect";
/// Asked for by scope: calls, and a refresh token.
const SCOPE: &str = "api refresh_token";
/// Bytes of a request's head that are read; a browser sends some hundred.
const LARGEST_HEAD: usize = 16 << 10;
/// Time a browser may take to send a request it has begun.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

const CALL: &str = "log in with the browser";

/// What a login by browser needs beforehand.
#[derive(Clone)]
pub struct WebLoginRequest {
    /// Login host or My Domain.
    pub login_url: String,
    /// Consumer key.
    pub id: String,
    /// Consumer secret, where the app wants one.
    pub secret: Option<SecretString>,
    /// Port of the callback URL, `http://localhost:PORT/OauthRedirect`.
    pub port: u16,
}

impl fmt::Debug for WebLoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebLoginRequest").field("port", &self.port).finish_non_exhaustive()
    }
}

/// A login by browser that waits for its answer.
pub struct WebLogin {
    request: WebLoginRequest,
    base: BaseUrl,
    listener: TcpListener,
    verifier: SecretString,
    state: String,
    url: String,
    redirect: String,
}

impl fmt::Debug for WebLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebLogin").field("redirect", &self.redirect).finish_non_exhaustive()
    }
}

/// What the browser brought: a code, or why there is none.
enum Brought {
    Code(SecretString),
    Refused { code: String, text: String },
}

impl WebLogin {
    /// Listens for the answer and makes the URL that a person opens.
    ///
    /// # Errors
    /// [`Kind::Address`] for a login URL that gets no token, [`Kind::Local`]
    /// when the port is taken.
    pub async fn begin(request: WebLoginRequest) -> Result<WebLogin, CallError> {
        let error = |kind| CallError::new(CALL, kind, Happened::No);
        let base =
            BaseUrl::parse(&request.login_url).map_err(|why| error(Kind::Address).message(why))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, request.port));
        let listener = TcpListener::bind(address).await.map_err(|cause| {
            error(Kind::Local)
                .message(format!("port {} of this machine can't be opened", request.port))
                .advice("Name a free port with --callback-port, and in the app's callback URLs.")
                .because(cause)
        })?;
        let port = listener.local_addr().map_or(request.port, |address| address.port());
        let redirect = format!("http://localhost:{port}{CALLBACK_PATH}");
        let random = |bytes| {
            let mut buffer = vec![0; bytes];
            let filled = SystemRandom::new().fill(&mut buffer);
            let text = URL_SAFE_NO_PAD.encode(&buffer);
            filled
                .map(|()| text)
                .map_err(|_| error(Kind::Local).message("the system gives no random numbers"))
        };
        let (verifier, state) = (SecretString::from(random(32)?), random(16)?);
        let challenge =
            URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.expose_secret().as_bytes()));
        let url = format!(
            "{}/services/oauth2/authorize?response_type=code&client_id={}&redirect_uri={}\
             &scope={}&state={state}&code_challenge={challenge}&code_challenge_method=S256",
            base.as_str(),
            encode(&request.id),
            encode(&redirect),
            encode(SCOPE),
        );
        Ok(WebLogin { request, base, listener, verifier, state, url, redirect })
    }

    /// The URL to open in a browser. It holds no secret.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The callback URL that the app must name.
    pub fn callback_url(&self) -> &str {
        &self.redirect
    }

    /// Waits for the browser and turns what it brings into a login by refresh
    /// token.
    ///
    /// # Errors
    /// [`Kind::Login`] when the person or the org declines, when nobody came
    /// within the patience, and when the app gives no refresh token.
    pub async fn finish(
        self,
        patience: Duration,
        options: &ConnectOptions,
    ) -> Result<Login, CallError> {
        let refused = || CallError::new(CALL, Kind::Login, Happened::Refused);
        let brought = tokio::time::timeout(patience, self.wait()).await.map_err(|_| {
            let minutes = patience.as_secs() / 60;
            refused()
                .message(format!("nobody logged in within {minutes} minutes"))
                .advice("Begin again, and open the URL in a browser on this machine.")
        })?;
        let code = match brought {
            Brought::Code(code) => code,
            Brought::Refused { code, text } => {
                return Err(refused().code(code).message(text).advice(
                    "Log in as a user who may use the app, and allow what it asks for; the app \
                     needs the scopes `api` and `refresh_token, offline_access`.",
                ));
            }
        };
        let transport = options.transport(&self.base, Arc::default())?;
        let form = Form::new(CALL, "authorization_code")
            .with("code", code.expose_secret())
            .with("client_id", &self.request.id)
            .with("redirect_uri", &self.redirect)
            .with("code_verifier", self.verifier.expose_secret())
            .with_maybe("client_secret", self.request.secret.as_ref());
        let reply = token::ask(&transport, &self.base, form).await?;
        let Some(refresh_token) = reply.refresh_token else {
            return Err(refused().message("the app gives no refresh token").advice(
                "Add the scope `Perform requests at any time (refresh_token, offline_access)` to \
                 the app.",
            ));
        };
        Ok(Login::Refresh {
            login_url: self.request.login_url,
            id: self.request.id,
            secret: self.request.secret,
            refresh_token,
            keeper: None,
        })
    }

    /// The first answer that carries our state.
    async fn wait(&self) -> Brought {
        loop {
            let Ok((mut socket, _)) = self.listener.accept().await else { continue };
            let head = tokio::time::timeout(HEAD_PATIENCE, read_head(&mut socket)).await;
            let Ok(Some(target)) = head else { continue };
            let brought = self.judge(&target);
            let page = match &brought {
                Some(Brought::Code(_)) => page(200, "The org has answered; see the terminal."),
                Some(Brought::Refused { .. }) => page(200, "The org declined; see the terminal."),
                None => page(404, "This is no answer that bulkhaul waits for."),
            };
            let _ = socket.write_all(page.as_bytes()).await;
            let _ = socket.shutdown().await;
            if let Some(brought) = brought {
                return brought;
            }
        }
    }

    /// What a request brings, if it is the answer to ours.
    fn judge(&self, target: &str) -> Option<Brought> {
        let (path, query) = target.split_once('?')?;
        let field = |name: &str| {
            query.split('&').find_map(|pair| {
                let (own, value) = pair.split_once('=')?;
                (own == name).then(|| decoded(value))
            })
        };
        if path != CALLBACK_PATH || field("state").as_deref() != Some(&self.state) {
            return None;
        }
        if let Some(code) = field("code") {
            return Some(Brought::Code(SecretString::from(code)));
        }
        let code = one_line(&field("error")?, 80);
        let text = one_line(&field("error_description").unwrap_or_default(), 300);
        Some(Brought::Refused { code, text })
    }
}

/// The target of a GET request, from its head.
async fn read_head(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if head.len() > LARGEST_HEAD || socket.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let line = String::from_utf8_lossy(&head).lines().next()?.to_owned();
    let mut words = line.split(' ');
    (words.next()? == "GET").then(|| words.next().map(str::to_owned))?
}

fn page(status: u16, text: &str) -> String {
    let body = format!("<!doctype html><title>bulkhaul</title><p>{text}</p>\n");
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// A query value without its percent signs; what can't be decoded stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let pair = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match (first, pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(other),
        }
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Login {
    /// Ends the refresh token of a login in the org, and with it the sessions
    /// that came of it. Other logins have nothing that could be ended.
    ///
    /// # Errors
    /// [`Kind::Login`] when the org does not know the token (any more), else
    /// what was on the way.
    pub async fn revoke(&self, options: &ConnectOptions) -> Result<(), CallError> {
        let Login::Refresh { refresh_token, keeper, .. } = self else { return Ok(()) };
        let Some(base) = LoginInUse::new(self.clone()).first_address()? else { return Ok(()) };
        let transport = options.transport(&base, Arc::default())?;
        let current = keeper.as_ref().and_then(|keeper| Some(keeper.turn().ok()?.current()));
        token::revoke(&transport, &base, current.as_ref().unwrap_or(refresh_token)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn begun() -> WebLogin {
        WebLogin::begin(WebLoginRequest {
            login_url: "http://127.0.0.1:9".into(),
            id: "app&co".into(),
            secret: None,
            port: 0,
        })
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn only_an_answer_with_our_state_counts() {
        let login = begun().await;
        let state = login.state.clone();
        let judged = |target: String| match login.judge(&target) {
            None => "none".to_owned(),
            Some(Brought::Code(code)) => code.expose_secret().to_owned(),
            Some(Brought::Refused { code, text }) => format!("{code}: {text}"),
        };
        assert_eq!(judged(format!("/OauthRedirect?code=a%3D%3D&state={state}")), "a==");
        assert_eq!(
            judged(format!(
                "/OauthRedirect?error=access_denied&error_description=end-user+denied&state={state}"
            )),
            "access_denied: end-user denied"
        );
        for target in [
            "/OauthRedirect".to_owned(),
            "/OauthRedirect?code=a".to_owned(),
            "/OauthRedirect?code=a&state=other".to_owned(),
            format!("/favicon.ico?code=a&state={state}"),
            format!("/OauthRedirect?state={state}"),
        ] {
            assert_eq!(judged(target), "none");
        }
    }

    #[tokio::test]
    async fn the_url_holds_the_challenge_and_never_the_verifier() {
        let login = begun().await;
        let url = login.url();
        assert!(url.contains("client_id=app%26co&redirect_uri=http%3A%2F%2Flocalhost%3A"));
        assert!(url.contains("code_challenge_method=S256"));
        assert!(!url.contains(login.verifier.expose_secret()));
        assert!(!format!("{login:?}").contains(&login.state));
        // RFC 7636, appendix B.
        let known = digest(&SHA256, b"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(URL_SAFE_NO_PAD.encode(known), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
