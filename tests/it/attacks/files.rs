//! Against the folder of pages: ways out of it, and readers that take nothing.

use std::os::unix::fs::symlink;
use std::path::Path;

use everyway::config::Seconds;
use http_body_util::BodyExt;

use crate::files::Site;
use crate::support::http2::Http2;
use crate::support::{http, until, within};

/// A folder beside a secret and with hidden files in it.
async fn site() -> Site {
    let site = Site::new().await;
    std::fs::write(site.folder.path().join("secret"), "SECRET").expect("a file");
    std::fs::create_dir(site.root().join(".git")).expect("a folder");
    for hidden in [".env", ".git/config", ".git/index.html"] {
        site.write(hidden, "SECRET");
    }
    site
}

/// Nothing outside of the folder, and nothing hidden in it, is reached by any spelling of a path.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_path_leads_out_of_the_folder() {
    let site = site().await;
    let http2 = Http2::connect(site.gateway.address).await;
    let absolute = site.folder.path().join("secret");
    let absolute = absolute.to_str().expect("a path in UTF-8");
    let (dots, slashes) = (
        [
            "..",
            "%2e%2e",
            "%2E.",
            ".%2e",
            "%252e%252e",
            "..%00",
            "%c0%ae%c0%ae",
            "%uff0e%uff0e",
            "..;",
            "....",
        ],
        [
            "/",
            "%2f",
            "%2F",
            "%5c",
            "%252f",
            "//",
            "/./",
            "%c0%af",
            "%ef%bc%8f",
        ],
    );
    let mut targets = vec![
        "/.env".to_owned(),
        "/%2eenv".to_owned(),
        "/.git/config".to_owned(),
        "/.git/".to_owned(),
        "/.git".to_owned(),
        "/chat/../.env".to_owned(),
        "/site/../../secret".to_owned(),
        format!("/{absolute}"),
        absolute.to_owned(),
        format!("/%2f{}", &absolute[1..]),
        format!("/file:%2f%2f{absolute}"),
        "/index.html/../../secret".to_owned(),
        "/C:%5csecret".to_owned(),
        "/secret%00.html".to_owned(),
        "/index.html%00".to_owned(),
        "/index.html%20".to_owned(),
    ];
    for dots in dots {
        for slash in slashes {
            targets.push(format!("/{dots}{slash}secret"));
            targets.push(format!("/chat{slash}{dots}{slash}{dots}{slash}secret"));
        }
    }
    for target in &targets {
        for answer in [site.gateway.get(target).await, http2.get(target).await] {
            assert!(!answer.text().contains("SECRET"), "{target}");
            assert!(
                matches!(answer.status, 400 | 404),
                "{target}: {}",
                answer.status
            );
        }
    }
    // What a client may not even write in a path.
    for target in [
        "/..\\secret",
        "\\..\\secret",
        "../secret",
        "/\t../secret",
        "*",
    ] {
        let request =
            format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answer = http::raw(site.gateway.address, request.as_bytes()).await;
        let is_refused = answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.1 404 ");
        assert!(
            is_refused && !answer.contains("SECRET"),
            "{target}: {answer}"
        );
    }
}

/// A link in the folder is followed to what is in it, and to nothing else: nothing outside, nothing hidden, no pipe, no circle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_lead_nowhere_outside() {
    let site = site().await;
    let root = site.root();
    let outside = site.folder.path();
    for (at, to) in [
        ("file", outside.join("secret")),
        ("relative", "../secret".into()),
        ("folder", outside.to_path_buf()),
        ("hidden", root.join(".env")),
        ("hidden-folder", ".git".into()),
        ("device", "/dev/zero".into()),
        ("circle", "circle".into()),
        ("good", "chat/app.js".into()),
    ] {
        symlink(to, root.join(at)).expect("a link");
    }
    let pipe = std::process::Command::new("mkfifo")
        .arg(root.join("pipe"))
        .status();
    assert!(pipe.expect("mkfifo").success());
    let targets = [
        "/file",
        "/relative",
        "/folder/secret",
        "/folder/",
        "/folder",
        "/hidden",
        "/hidden-folder/config",
        "/hidden-folder/",
        "/device",
        "/pipe",
    ];
    for target in targets {
        let answer = site.gateway.get(target).await;
        assert_eq!(answer.status, 404, "{target}: {}", answer.text());
    }
    assert!(site.gateway.get("/circle").await.status >= 404);
    assert_eq!(site.gateway.get("/good").await.text(), "export default 1");
}

/// A path that begins with two slashes, or whatever a browser takes for them, never becomes an address elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_redirect_leads_elsewhere() {
    let site = site().await;
    std::fs::create_dir(site.root().join("evil.example")).expect("a folder");
    for target in [
        "//evil.example",
        "/%2fevil.example",
        "/%5cevil.example",
        "/%09/evil.example",
        "///evil.example",
    ] {
        let answer = site.gateway.get(target).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (404, ""),
            "{target}"
        );
    }
    assert_eq!(
        site.gateway.get("/evil.example").await.header("location"),
        "/evil.example/"
    );
}

/// How many times a file is open, in the gateway or in the test: they are one process.
fn times_open(path: &Path) -> usize {
    let path = path.canonicalize().expect("a file");
    let open = std::fs::read_dir("/proc/self/fd").expect("Linux");
    open.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
        .filter(|open| *open == path)
        .count()
}

/// Who asks for large files and takes nothing is cut off, and gives the places for open files back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_take_no_page() {
    let site = Site::with(|config| {
        config.limits.files_max = 20;
        config.timeouts.stall_s = Seconds::new(1);
    })
    .await;
    let path = site.root().join("huge.bin");
    let huge = std::fs::File::create(&path).expect("a file");
    huge.set_len(1 << 30).expect("a hole");
    drop(huge);
    let http2 = Http2::connect(site.gateway.address).await;
    let mut held = Vec::new();
    for n in 0..20 {
        held.push(match n % 2 {
            0 => http::open(site.gateway.address, "GET", "/huge.bin", &[], b"").await,
            _ => http2.open("/huge.bin").await,
        });
    }
    assert_eq!(site.gateway.get("/data").await.status, 503);
    assert_eq!(times_open(&path), 20);
    // Before that, a body would go on as it is read.
    until("all to be cut", async || times_open(&path) == 0).await;
    assert_eq!(site.gateway.get("/data").await.status, 200);
    for answer in held {
        let broken = async {
            let mut body = answer.into_body();
            while let Some(Ok(_)) = body.frame().await {
                // What was under way is taken now; it is not all.
            }
        };
        within("a body that was cut to end", broken).await;
    }
}
