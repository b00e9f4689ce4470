//! What stands between a client and an org on real networks: something that
//! speaks TLS, and a proxy. Both on loopback, both forwarding bytes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion, crypto::ring, version};

use crate::support::Place;

/// An authority of certificates that no machine knows.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// Its certificate in a file, as `BULKHAUL_CA_FILE` takes it.
    pub(crate) fn file(&self, place: &Place, name: &str) -> PathBuf {
        place.file(name, &self.pem)
    }

    fn config(&self, host: &str, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, host);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }
}

/// Speaks TLS and forwards what is said to a plain address. Ends when it is
/// dropped.
pub(crate) struct TlsFront {
    runtime: Runtime,
    listener: Option<TcpListener>,
    config: Arc<ServerConfig>,
    pub port: u16,
}

pub(crate) fn tls13() -> Vec<&'static SupportedProtocolVersion> {
    vec![&version::TLS13]
}

pub(crate) fn tls12() -> Vec<&'static SupportedProtocolVersion> {
    vec![&version::TLS12]
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// The address behind `http://`.
pub(crate) fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").parse().unwrap()
}

impl TlsFront {
    /// Takes a port; nobody is answered before [`TlsFront::forward`].
    pub(crate) fn new(
        authority: &Authority,
        host: &str,
        versions: &[&'static SupportedProtocolVersion],
    ) -> TlsFront {
        let runtime = runtime();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = Arc::new(authority.config(host, versions));
        TlsFront { runtime, listener: Some(listener), config, port }
    }

    /// Forwards all connections from here on.
    pub(crate) fn forward(&mut self, target: SocketAddr) {
        let listener = self.listener.take().unwrap();
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        self.runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut tls) = acceptor.accept(socket).await else { return };
                    let Ok(mut plain) = TcpStream::connect(target).await else { return };
                    let _ = copy_bidirectional(&mut tls, &mut plain).await;
                });
            }
        });
    }
}

/// An HTTP proxy that knows CONNECT alone and leads everything to one address.
pub(crate) struct Proxy {
    _runtime: Runtime,
    seen: Arc<Mutex<Vec<String>>>,
    pub port: u16,
}

impl Proxy {
    /// With a target it connects; else it answers with a status.
    pub(crate) fn start(answer: Result<SocketAddr, &'static str>) -> Proxy {
        let runtime = runtime();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(proxied(socket, answer, Arc::clone(&log)));
            }
        });
        Proxy { _runtime: runtime, seen, port }
    }

    /// The first lines of all requests so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn proxied(
    mut socket: TcpStream,
    answer: Result<SocketAddr, &'static str>,
    log: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if socket.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8(head).unwrap();
    log.lock().unwrap().push(head.lines().next().unwrap().to_owned());
    match answer {
        Err(status) => {
            let reply = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            let _ = socket.write_all(reply.as_bytes()).await;
        }
        Ok(target) => {
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            let Ok(mut there) = TcpStream::connect(target).await else { return };
            let _ = copy_bidirectional(&mut socket, &mut there).await;
        }
    }
}
