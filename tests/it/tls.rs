//! TLS and proxies as people have them: an authority of the firm's own, the
//! wrong host, an old firewall, a proxy that is needed or in the way.

use std::process::Command;

use serde_json::json;

use crate::support::{Place, Said, Server};
use crate::tls_rig::{Authority, Proxy, TlsFront, address, tls12, tls13};

/// An org behind TLS, and the machine it is called from.
struct Rig {
    place: Place,
    authority: Authority,
    front: TlsFront,
    server: Server,
    /// Calls itself by it.
    host: &'static str,
}

impl Rig {
    /// Certificate and org are of this host; by the port of the front, or by
    /// that of https when a proxy leads there.
    fn new(host: &'static str, old: bool, own_port: bool) -> Rig {
        let place = Place::new();
        let authority = Authority::new("firm");
        let versions = if old { tls12() } else { tls13() };
        let mut front = TlsFront::new(&authority, host, &versions);
        let port = if own_port { format!(":{}", front.port) } else { String::new() };
        let settings = json!({"public-url": format!("https://{host}{port}")});
        let file = place.file("org-settings.json", settings.to_string());
        let server = Server::in_memory(&["--settings", file.to_str().unwrap()]);
        front.forward(address(&server.text("url")));
        authority.file(&place, "firm.pem");
        // What the machine trusts: an authority that has signed nothing here.
        Authority::new("machine").file(&place, "machine.pem");
        Rig { place, authority, front, server, host }
    }

    /// A command that trusts the firm's authority.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.place.command_on(&self.server, args);
        command
            .env("BULKHAUL_LOGIN_URL", format!("https://{}:{}", self.host, self.front.port))
            .env("SSL_CERT_FILE", self.place.path().join("machine.pem"))
            .env("BULKHAUL_CA_FILE", self.place.path().join("firm.pem"));
        command
    }
}

fn run(command: &mut Command) -> Said {
    Said::from(command.output().unwrap())
}

/// Refused before anything was sent, with a word and a hint that says so.
fn refused(said: &Said, code: &str, hint: &str) {
    assert_eq!(said.code, 2, "{said:?}");
    let object: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(object["error"]["code"], code, "{said:?}");
    let told = object["error"]["hint"].as_str().unwrap();
    assert!(told.contains(hint), "{told}");
}

const LIMITS: [&str; 3] = ["limits", "--json", "-q"];

#[test]
fn a_whole_load_goes_through_tls_with_an_authority_of_the_firms_own() {
    let rig = Rig::new("localhost", false, true);
    let rows: String = (0..3_000).map(|n| format!("K{n},Account {n}\n")).collect();
    let source = rig.place.file("accounts.csv", format!("Legacy_Id__c,Name\n{rows}"));
    let mut args = vec!["load", source.to_str().unwrap(), "--object", "Account"];
    args.extend(["--operation", "insert", "--chunk-rows", "1000"]);
    let said = run(&mut rig.command(&args));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(rig.server.count("Account"), 3_000);
    let url = rig.place.summary()["org"]["url"].clone();
    assert_eq!(url, format!("https://localhost:{}", rig.front.port));
}

#[test]
fn what_is_wrong_with_a_certificate_is_told_with_what_to_do() {
    let rig = Rig::new("localhost", false, true);
    let stranger = run(rig.command(&LIMITS).env_remove("BULKHAUL_CA_FILE"));
    refused(&stranger, "tls", "BULKHAUL_CA_FILE");
    let url = format!("https://127.0.0.1:{}", rig.front.port);
    let other_name = run(rig.command(&LIMITS).env("BULKHAUL_LOGIN_URL", url));
    refused(&other_name, "tls", "another host");
    let plain = rig.server.text("url").replace("http://127.0.0.1", "https://localhost");
    let no_tls = run(rig.command(&LIMITS).env("BULKHAUL_LOGIN_URL", plain));
    refused(&no_tls, "tls", "does not speak TLS");
    let no_file = run(rig.command(&LIMITS).env("BULKHAUL_CA_FILE", "no-such.pem"));
    refused(&no_file, "ca-file", "BEGIN CERTIFICATE");
    let empty = rig.place.file("empty.pem", "");
    let empty = run(rig.command(&LIMITS).env("BULKHAUL_CA_FILE", empty));
    refused(&empty, "ca-file", "BEGIN CERTIFICATE");
    // Several in one file are all taken.
    let machine = std::fs::read_to_string(rig.place.path().join("machine.pem")).unwrap();
    let firm = rig.authority.file(&rig.place, "firm.pem");
    let bundle = machine + &std::fs::read_to_string(firm).unwrap();
    let bundle = rig.place.file("bundle.pem", bundle);
    let good = run(rig.command(&LIMITS).env("BULKHAUL_CA_FILE", bundle));
    assert_eq!(good.code, 0, "{good:?}");
}

#[test]
fn tls_1_2_is_taken_only_when_asked_for() {
    let rig = Rig::new("localhost", true, true);
    refused(&run(&mut rig.command(&LIMITS)), "tls", "BULKHAUL_ALLOW_TLS12");
    let asked = run(rig.command(&LIMITS).env("BULKHAUL_ALLOW_TLS12", "true"));
    assert_eq!(asked.code, 0, "{asked:?}");
}

#[test]
fn a_proxy_is_gone_through_unless_it_is_left_out_for_the_host() {
    let rig = Rig::new("acme.my.salesforce.com", false, false);
    let proxy = Proxy::start(Ok(([127, 0, 0, 1], rig.front.port).into()));
    let way = format!("http://127.0.0.1:{}", proxy.port);
    let through = run(rig
        .command(&LIMITS)
        .env("BULKHAUL_LOGIN_URL", "https://acme.my.salesforce.com")
        .env("HTTPS_PROXY", &way));
    assert_eq!(through.code, 0, "{through:?}");
    let seen = proxy.seen();
    assert!(!seen.is_empty());
    assert!(seen.iter().all(|line| line == "CONNECT acme.my.salesforce.com:443 HTTP/1.1"));
    // The name was never looked up here, and nothing went past the proxy.
    let direct = Rig::new("localhost", false, true);
    let past = run(direct.command(&LIMITS).env("HTTPS_PROXY", &way).env("NO_PROXY", "localhost"));
    assert_eq!(past.code, 0, "{past:?}");
    assert_eq!(proxy.seen().len(), seen.len());
}

#[test]
fn a_proxy_that_is_in_the_way_is_named() {
    let rig = Rig::new("acme.my.salesforce.com", false, false);
    for (answer, hint) in [
        ("403 Forbidden", "would not connect"),
        ("407 Proxy Authentication Required", "USER:PASSWORD"),
    ] {
        let proxy = Proxy::start(Err(answer));
        let said = run(rig
            .command(&LIMITS)
            .env("BULKHAUL_LOGIN_URL", "https://acme.my.salesforce.com")
            .env("HTTPS_PROXY", format!("http://scott:tiger@127.0.0.1:{}", proxy.port)));
        refused(&said, "proxy", hint);
        assert!(!format!("{said:?}").contains("tiger"), "{said:?}");
    }
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = run(rig
        .command(&LIMITS)
        .env("BULKHAUL_LOGIN_URL", "https://acme.my.salesforce.com")
        .env("HTTPS_PROXY", format!("http://{nobody}")));
    refused(&said, "proxy", "can't be reached");
}
