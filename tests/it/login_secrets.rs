//! Quiet about logins (I8): whatever is written anywhere, with the log at its
//! loudest and faults on the way, none of a login's secrets is in it, in no
//! form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::logins::{KEY_PASSWORD, KINDS, Rig, run};
use crate::secrets::{files, has, has_token};
use crate::support::{Said, fixture};

const PASSPHRASE: &str = "correct horse battery staple";

/// The forms in which a secret could slip out: as it is, percent-encoded, and
/// inside a longer text in base64, where its place decides how it looks.
fn forms(secret: &str) -> Vec<String> {
    let percent: String = secret
        .bytes()
        .map(|byte| match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    let mut all = vec![secret.to_owned(), percent.clone(), percent.to_lowercase()];
    for before in 0..3_usize {
        let text = STANDARD_NO_PAD.encode("x".repeat(before) + secret);
        // The digits that hold bits of what stands before and behind.
        let own = &text[(before * 8).div_ceil(6)..text.len() - 1];
        all.push(own.to_owned());
        all.push(own.replace('+', "-").replace('/', "_"));
    }
    all
}

/// The names of what is told of a login's secrets.
fn leaks(bytes: &[u8], secrets: &[(&'static str, String)]) -> Vec<&'static str> {
    let mut found: Vec<&'static str> = secrets
        .iter()
        .filter(|(_, secret)| forms(secret).iter().any(|form| has(bytes, form)))
        .map(|(name, _)| *name)
        .collect();
    if has_token(bytes) || has(bytes, "%21AQ") {
        found.push("an access token");
    }
    // All of this org's refresh tokens begin so, and all assertions.
    if has(bytes, "5Aep861") {
        found.push("a refresh token");
    }
    if has(bytes, "eyJhbGciOiJSUzI1NiJ9") {
        found.push("an assertion");
    }
    found
}

/// Everything that was written: streams, and every file below the place.
fn written(rig: &Rig, said: &Said) -> Vec<(String, Vec<u8>)> {
    let mut all = vec![
        ("stdout".to_owned(), said.stdout.clone().into_bytes()),
        ("stderr".to_owned(), said.stderr.clone().into_bytes()),
    ];
    for path in files(rig.place.path()) {
        all.push((path.display().to_string(), std::fs::read(&path).unwrap()));
    }
    all
}

fn secrets_of(rig: &Rig) -> Vec<(&'static str, String)> {
    let mut secrets = vec![
        ("the client secret", rig.server.secret()),
        ("the passphrase", PASSPHRASE.to_owned()),
        ("the key's password", KEY_PASSWORD.to_owned()),
    ];
    // The base64 of the key's body, from its middle.
    for file in ["rsa-pkcs1.pem", "rsa-pkcs8.pem", "rsa-pkcs8-encrypted.pem"] {
        let text = std::fs::read_to_string(fixture(&format!("logins/{file}"))).unwrap();
        secrets.push(("the private key", text.lines().nth(7).unwrap().to_owned()));
    }
    secrets
}

fn judge(rig: &Rig, what: &str, said: &Said) {
    let secrets = secrets_of(rig);
    for (place, bytes) in written(rig, said) {
        assert_eq!(leaks(&bytes, &secrets), Vec::<&str>::new(), "{what}: {place}");
    }
}

#[test]
fn a_leak_is_noticed_in_every_form() {
    let secrets = [("s", "hush/hush+4711".to_owned())];
    let basic = STANDARD_NO_PAD.encode("id:hush/hush+4711");
    for text in ["x=hush/hush+4711&y", "x=hush%2Fhush%2B4711&y", "hush%2fhush%2b4711", &basic] {
        assert_eq!(leaks(text.as_bytes(), &secrets), ["s"], "{text}");
    }
    for (text, what) in [
        ("Bearer 00DLo0000000001!AQx", "an access token"),
        ("refresh_token=5Aep861abc", "a refresh token"),
        ("assertion=eyJhbGciOiJSUzI1NiJ9.e30.x", "an assertion"),
    ] {
        assert_eq!(leaks(text.as_bytes(), &secrets), [what]);
    }
    assert!(leaks(b"nothing at all, 00DLo0000000001MAA.", &secrets).is_empty());
}

#[test]
fn a_run_at_its_loudest_tells_no_secret_of_its_login() {
    for kind in KINDS {
        let faults = "seed=3,session-calls=9,*:reset=4%,reads:503=4%,token:reset=#2";
        let rig = Rig::new(&["--faults", faults]);
        let rows: String = (0..400).map(|n| format!("K{n},Account {n}\n")).collect();
        let source = rig.place.file("accounts.csv", format!("Legacy_Id__c,Name\n{rows}"));
        let mut args = vec!["load", source.to_str().unwrap(), "--object", "Account"];
        args.extend(["--operation", "upsert", "--external-id", "Legacy_Id__c"]);
        args.extend(["--chunk-rows", "100", "-vvv", "--progress", "json", "--json"]);
        for log_file in [&[][..], &["--log-file", "log.txt", "--again"]] {
            let args = [&args[..], log_file].concat();
            let mut command = rig.command(kind, &args);
            command.env("BULKHAUL_LOG", "trace").env("RUST_LOG", "trace");
            let said = run(command.env("RUST_BACKTRACE", "1"));
            judge(&rig, kind, &said);
            // A lot was told, of renewals among other things.
            assert!(said.stderr.contains("session had run out"), "{kind}: {}", said.stderr);
        }
        let log = std::fs::read(rig.place.path().join("log.txt")).unwrap();
        assert!(has(&log, "session renewed"), "{kind}");
    }
}

#[test]
fn refused_logins_tell_no_secret() {
    for kind in KINDS {
        let rig = Rig::new(&["--faults", "token:refused=100%"]);
        let mut command = rig.command(kind, &["limits", "-vvv", "--json", "--log-file", "log.txt"]);
        let said = run(command.env("BULKHAUL_LOG", "trace"));
        assert_eq!(said.code, 2, "{kind}: {said:?}");
        judge(&rig, kind, &said);
    }
}

#[test]
fn storing_listing_and_using_a_login_writes_no_secret_in_the_open() {
    let rig = Rig::new(&[]);
    for kind in KINDS {
        let store = ["login", kind, "-vvv", "--log-file", "log.txt"];
        let used = ["limits", "--org", kind, "-vvv", "--log-file", "log.txt"];
        for args in [&store[..], &used, &["orgs", "--check", "--json"], &["orgs", "--check"]] {
            let mut command = rig.command(kind, args);
            command.env("BULKHAUL_LOG", "trace").env("BULKHAUL_LOGIN_PASSPHRASE", PASSPHRASE);
            let said = run(&mut command);
            assert_eq!(said.code, 0, "{kind} {args:?}: {said:?}");
            judge(&rig, kind, &said);
        }
    }
}
