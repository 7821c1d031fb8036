//! What the command line refuses before it does anything, and what it says of it.

use std::path::Path;
use std::process::Output;

use super::cli::{everyway, run, stderr, stdout};
use super::support::tunnel::Certs;
use super::support::within;
use super::tokens;

async fn run_in(folder: &Path, args: &[&str]) -> Output {
    let running = everyway(args).current_dir(folder).output();
    let output = within(&format!("everyway {args:?}"), running).await;
    output.expect("the program runs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_config_refuses_what_serve_refuses_with_the_same_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    // A certificate, and the key of another one.
    let (one, other) = (Certs::make(), Certs::make());
    let cert = format!("tls.cert={}", one.path("server.pem"));
    let key = format!("tls.key={}", other.path("server.key"));
    let tls = ["--tls-listen", "127.0.0.1:0"];
    for (args, says) in [
        (vec!["--listen", "0.0.0.0:0"], "server.listen"),
        (vec!["--tls-listen", "0.0.0.0:0"], "server.tls_listen"),
        (
            vec!["--set", "server.admin_listen=0.0.0.0:0"],
            "admin_listen",
        ),
        (vec!["--listen", "nohost.invalid:1"], "nohost.invalid"),
        (vec!["--set", "auth.secret_file=nosuch"], "auth.secret_file"),
        (
            vec!["--set", "limits.message_bytes_max=16777217"],
            "at most 16777216",
        ),
        (
            vec!["--set", "limits.message_bytes_max=16777216"],
            "history.bytes_max",
        ),
        (
            [&tls[..], &["--set", "tls.cert=nosuch.pem"]].concat(),
            "tls.cert",
        ),
        (
            [&tls[..], &["--set", &cert, "--set", &key]].concat(),
            "tls.key",
        ),
        (
            [&tls[..], &["--set", "tls.client_ca=nosuch.pem"]].concat(),
            "tls.client_ca",
        ),
    ] {
        let checked = run_in(folder.path(), &[&["check-config"], &args[..]].concat()).await;
        let served = run_in(folder.path(), &args).await;
        assert_eq!(stderr(&checked), stderr(&served), "{args:?}");
        assert!(stderr(&checked).contains(says), "{}", stderr(&checked));
        let status = (checked.status.code(), served.status.code());
        assert_eq!(status, (Some(64), Some(64)), "{args:?}");
    }
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 0, "nothing was made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_config_makes_no_certificates_and_says_what_stands_in_their_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let args = ["check-config", "--tls-listen", "127.0.0.1:0"];
    let checked = run_in(folder.path(), &args).await;
    assert!(checked.status.success(), "{}", stderr(&checked));
    assert!(!folder.path().join("certs").exists(), "no certificates");
    std::fs::create_dir(folder.path().join("certs")).expect("a folder");
    std::fs::write(folder.path().join("certs/ca.pem"), "").expect("a file");
    let (checked, served) = (
        run_in(folder.path(), &args).await,
        run_in(folder.path(), &args[1..]).await,
    );
    assert!(stderr(&checked).contains("is there already"));
    assert_eq!(stderr(&checked), stderr(&served));
    assert_eq!(checked.status.code(), Some(64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_config_opens_no_port() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let checked = run(&["check-config", "--listen", &address]).await;
    assert!(checked.status.success(), "{}", stderr(&checked));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_not_there_is_named_from_the_root() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("nosuch");
    let tls = ["check-config", "--tls-listen", "127.0.0.1:0", "--set"];
    for args in [
        vec!["check-config", "--config", "nosuch"],
        vec!["check-config", "--set", "auth.secret_file=nosuch"],
        vec!["check-config", "--set", "auth.pem_files=nosuch"],
        [&tls[..], &["tls.cert=nosuch"]].concat(),
        [&tls[..], &["tls.client_ca=nosuch"]].concat(),
        vec!["publish", "a", "1", "--token-file", "nosuch"],
        vec![
            "publish",
            "a",
            "1",
            "--ca",
            "nosuch",
            "--url",
            "https://127.0.0.1:1",
        ],
    ] {
        let refused = stderr(&run_in(folder.path(), &args).await);
        let whole = missing.to_str().expect("UTF-8");
        assert!(refused.contains(whole), "{args:?}: {refused}");
    }
}

/// Makes a token with some flags and a good secret.
async fn token(args: &[&str]) -> Output {
    let secret = format!(
        "auth.secret_file={}",
        tokens::file("secret", tokens::SECRET)
    );
    run(&[&["token", "--set", &secret], args].concat()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_would_be_of_no_use_is_not_made() {
    let long = "x".repeat(129);
    for (args, says) in [
        (
            vec!["--subscribe", "a*b"],
            "--subscribe: \"a*b\" is not a channel's name",
        ),
        (vec!["--publish", "bad name"], "--publish: \"bad name\""),
        (vec!["--subscribe", "@bob"], "--subscribe"),
        (vec!["--subscribe", ""], "--subscribe"),
        (vec!["--subscribe", "own:{user}"], "add --user"),
        (
            vec!["--subscribe", "own:{user}", "--user", "a b"],
            "own:a b",
        ),
        (vec!["--send", "a\nb"], "--send"),
        (vec!["--expires-s", "0"], "--expires-s"),
        (vec!["--user", ""], "user name"),
        (vec!["--admin", "--id", &long], "jti"),
    ] {
        let refused = token(&args).await;
        assert_eq!(refused.status.code(), Some(64), "{args:?}");
        assert!(stderr(&refused).contains(says), "{}", stderr(&refused));
        assert_eq!(stdout(&refused), "", "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_without_rights_is_warned_of_and_others_are_not() {
    let warned = token(&["--user", "bob"]).await;
    assert!(stderr(&warned).contains("grants nothing") && warned.status.success());
    assert_eq!(
        stdout(&warned).matches('.').count(),
        2,
        "a token all the same"
    );
    for args in [
        vec!["--admin"],
        vec!["--send", "b*b", "--send", "*"],
        vec!["--publish", "*", "--expires-s", "1"],
        vec!["--subscribe", "own:{user}:*", "--user", "bob"],
    ] {
        let made = token(&args).await;
        assert!(made.status.success(), "{args:?}: {}", stderr(&made));
        assert_eq!(stderr(&made), "", "{args:?}");
    }
}
