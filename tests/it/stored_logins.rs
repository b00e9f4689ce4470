//! Stored logins: kept under a name, kept up with, forgotten again.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::logins::{Rig, run};
use crate::support::{Place, Said, Server};

const PASSPHRASE: &str = "correct horse battery";

/// The binary without a login in the environment.
fn later(place: &Place, args: &[&str]) -> Command {
    let mut command = place.command(args);
    command
        .env_remove("BULKHAUL_ORG")
        .env("BULKHAUL_LOGIN_STORE", "file")
        .env("BULKHAUL_LOGIN_PASSPHRASE", PASSPHRASE);
    command
}

fn object(said: &Said) -> Value {
    serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"))
}

#[test]
fn each_kind_is_stored_listed_used_and_forgotten() {
    let rig = Rig::new(&[]);
    let kinds = [
        ("client", "client-credentials", "file"),
        ("refresh", "refresh-token", "file"),
        ("jwt", "jwt", "nowhere"),
        ("jwt-with-password", "jwt", "file"),
    ];
    for (name, kind, kept_in) in kinds {
        // The password of a key that needs none is no secret to keep.
        let mut command = rig.command(name, &["login", name, "--json"]);
        if name == "jwt" {
            command.env_remove("BULKHAUL_JWT_KEY_PASSWORD");
        }
        let said = run(command.env("BULKHAUL_LOGIN_PASSPHRASE", PASSPHRASE));
        assert_eq!(said.code, 0, "{said:?}");
        let told = object(&said);
        assert_eq!((&told["kind"], &told["kept_in"]), (&json!(kind), &json!(kept_in)), "{told}");
        assert_eq!(told["org"]["org_id"], rig.server.text("org_id"));
    }
    let listed =
        run(later(&rig.place, &["orgs", "--json"]).env_remove("BULKHAUL_LOGIN_PASSPHRASE"));
    let names: Vec<Value> =
        object(&listed)["logins"].as_array().unwrap().iter().map(|l| l["name"].clone()).collect();
    assert_eq!(names, ["client", "jwt", "jwt-with-password", "refresh"]);
    // Again and again: a refresh token that rotates is kept up with.
    for _ in 0..3 {
        for (name, ..) in kinds {
            let said = run(&mut later(&rig.place, &["limits", "--org", name]));
            assert_eq!(said.code, 0, "{name}: {said:?}");
        }
    }
    let checked = run(&mut later(&rig.place, &["orgs", "--check", "--json"]));
    assert_eq!(checked.code, 0, "{checked:?}");
    let works = |told: &Value| {
        let logins = told["logins"].as_array().unwrap().clone();
        logins.into_iter().filter(|login| login["works"] == true).count()
    };
    assert_eq!(works(&object(&checked)), 4);

    // A refresh token that was ended in the org does not work any more.
    let token = rig.refresh_token();
    rig.server.get(&format!("/services/oauth2/revoke?token={token}"));
    let checked = run(&mut later(&rig.place, &["orgs", "--check", "--json"]));
    assert_eq!((checked.code, works(&object(&checked))), (1, 3), "{checked:?}");
    let people = run(&mut later(&rig.place, &["orgs", "--check"]));
    assert!(people.stdout.contains("no (login)") && people.stdout.contains("Log in anew"));

    let gone = run(&mut later(&rig.place, &["logout", "client"]));
    assert_eq!(gone.code, 0, "{gone:?}");
    let unknown = run(&mut later(&rig.place, &["limits", "--org", "client"]));
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("no stored login `client`"), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("`jwt`, `jwt-with-password`"), "{}", unknown.stderr);
}

#[test]
fn a_stored_login_that_rotates_carries_a_load_and_is_good_afterwards() {
    let rig = Rig::new(&["--faults", "session-calls=8"]);
    let stored = run(rig
        .command("refresh", &["login", "prod"])
        .env("BULKHAUL_LOGIN_PASSPHRASE", PASSPHRASE));
    assert_eq!(stored.code, 0, "{stored:?}");
    let rows: String = (0..1_000).map(|n| format!("K{n},Account {n}\n")).collect();
    let source = rig.place.file("accounts.csv", format!("Legacy_Id__c,Name\n{rows}"));
    let mut args = vec!["load", source.to_str().unwrap(), "--object", "Account", "--org", "prod"];
    args.extend(["--operation", "insert", "--chunk-rows", "100", "--progress", "plain"]);
    let said = run(&mut later(&rig.place, &args));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("logged in again"), "{}", said.stderr);
    assert!(!said.stderr.contains("spent"), "{}", said.stderr);
    assert_eq!(rig.server.count("Account"), 1_000);
    // What is stored now is what the org takes now.
    let after = run(&mut later(&rig.place, &["orgs", "--check"]));
    assert_eq!(after.code, 0, "{after:?}");
}

#[test]
fn processes_that_share_a_rotating_login_renew_one_after_the_other() {
    let rig = Rig::new(&[]);
    let stored = run(rig
        .command("refresh", &["login", "prod"])
        .env("BULKHAUL_LOGIN_PASSPHRASE", PASSPHRASE));
    assert_eq!(stored.code, 0, "{stored:?}");
    let at_once: Vec<_> = (0..6)
        .map(|_| {
            let mut command = later(&rig.place, &["limits", "--org", "prod"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in at_once {
        let said = Said::from(child.wait_with_output().unwrap());
        assert_eq!(said.code, 0, "{said:?}");
    }
}

#[test]
fn what_can_not_be_stored_or_opened_is_said_without_storing_anything() {
    let rig = Rig::new(&[]);
    let token = run(rig
        .command("client", &["login", "x"])
        .env("BULKHAUL_INSTANCE_URL", rig.server.text("url"))
        .env("BULKHAUL_ACCESS_TOKEN", "00DLo0000000001!x"));
    assert_eq!(token.code, 2);
    assert!(token.stderr.contains("ends by itself"), "{}", token.stderr);
    let wrong = run(rig
        .command("client", &["login", "x"])
        .env("BULKHAUL_LOGIN_PASSPHRASE", PASSPHRASE)
        .env("BULKHAUL_CLIENT_SECRET", "wrong"));
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("invalid_client"), "{}", wrong.stderr);
    let nowhere = run(&mut rig.command("client", &["login", "x"]));
    assert_eq!(nowhere.code, 2);
    assert!(nowhere.stderr.contains("BULKHAUL_LOGIN_PASSPHRASE"), "{}", nowhere.stderr);
    for name in ["local", "env", "../x", "sf:x"] {
        assert_eq!(run(&mut rig.command("client", &["login", name])).code, 2, "{name}");
    }
    let listed = run(&mut later(&rig.place, &["orgs", "--json"]));
    assert_eq!(object(&listed)["logins"], json!([]));

    let good =
        run(rig.command("client", &["login", "x"]).env("BULKHAUL_LOGIN_PASSPHRASE", PASSPHRASE));
    assert_eq!(good.code, 0, "{good:?}");
    let closed =
        run(later(&rig.place, &["limits", "--org", "x"])
            .env("BULKHAUL_LOGIN_PASSPHRASE", "another"));
    assert_eq!(closed.code, 2);
    assert!(closed.stderr.contains("passphrase does not open"), "{}", closed.stderr);
    let asked =
        run(later(&rig.place, &["limits", "--org", "x"]).env_remove("BULKHAUL_LOGIN_PASSPHRASE"));
    assert_eq!(asked.code, 2);
    assert!(asked.stderr.contains("can't be opened"), "{}", asked.stderr);
}

/// Without a session bus there is no Secret Service.
#[cfg(target_os = "linux")]
#[test]
fn where_there_is_no_keyring_a_sealed_file_is_taken() {
    let rig = Rig::new(&[]);
    let stored = run(rig
        .command("client", &["login", "x", "--json"])
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
        .env_remove("BULKHAUL_LOGIN_STORE")
        .env("BULKHAUL_LOGIN_PASSPHRASE", PASSPHRASE));
    assert_eq!(stored.code, 0, "{stored:?}");
    assert_eq!(object(&stored)["kept_in"], "file");
    let asked = run(rig
        .command("client", &["login", "y"])
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
        .env("BULKHAUL_LOGIN_STORE", "keyring")
        .env("BULKHAUL_LOGIN_PASSPHRASE", PASSPHRASE));
    assert_eq!(asked.code, 2);
    assert!(asked.stderr.contains("no keyring"), "{}", asked.stderr);
}

/// What stands for the browser: opens a URL, follows it back to this machine,
/// and gives the page that is shown there.
fn browse(server: &Server, url: &str, bend: impl Fn(String) -> String) -> String {
    let path = url.split_once("/services/").unwrap().1;
    let reply = server.get_head(&format!("/services/{path}"));
    let location = reply.lines().find_map(|line| line.strip_prefix("location: ")).unwrap();
    let target = bend(location.to_owned());
    let (host, path) = target.strip_prefix("http://localhost:").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", host.parse().unwrap())).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

#[test]
fn a_login_with_the_browser_is_taken_only_with_its_own_state_and_stored() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let place = Place::new();
    let callback = format!("http://localhost:{port}/OauthRedirect");
    let settings = json!({"callback-urls": [callback], "refresh-token-rotation": true});
    let file = place.file("org-settings.json", settings.to_string());
    let server = Server::in_memory(&["--settings", file.to_str().unwrap()]);
    let (url, id) = (server.text("url"), server.text("client_id"));
    let port = port.to_string();
    let mut args = vec!["login", "uat", "--web", "--login-url", &url, "--client-id", &id];
    args.extend(["--callback-port", &port, "--json"]);
    let mut command = later(&place, &args);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let shown = lines.by_ref().map(Result::unwrap).find(|line| line.starts_with("http")).unwrap();

    // Somebody else's answer is turned away, and waiting goes on.
    let forged = browse(&server, &shown, |location| {
        format!("{}&state=forged", location.split("&state=").next().unwrap())
    });
    assert!(forged.starts_with("HTTP/1.1 404"), "{forged}");
    let good = browse(&server, &shown, |location| location);
    assert!(good.starts_with("HTTP/1.1 200"), "{good}");
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!(said.code, 0, "{said:?} {:?}", lines.map(Result::unwrap).collect::<Vec<_>>());
    assert_eq!(object(&said)["kind"], "refresh-token");
    for _ in 0..2 {
        let said = run(&mut later(&place, &["limits", "--org", "uat"]));
        assert_eq!(said.code, 0, "{said:?}");
    }
    let revoked = run(&mut later(&place, &["logout", "uat", "--revoke"]));
    assert_eq!(revoked.code, 0, "{revoked:?}");
}
