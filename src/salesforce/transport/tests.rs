//! Tests of addresses, TLS and replies.

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
    let tls = TlsOptions { allow_tls12, ..TlsOptions::default() };
    let transport = Transport::new(&plain, 1, &tls, true, Arc::default()).unwrap();
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
