//! Pages from a folder: what is served, how, and that the gateway's own paths win.

use std::path::Path;

use everyway::config::Config;

use super::cli::{run, stderr};
use super::support::http::Response;
use super::support::http2::Http2;
use super::support::{Gateway, Reader, Via, http, within};

/// A folder with a few files, and a gateway that serves it.
pub struct Site {
    pub folder: tempfile::TempDir,
    pub gateway: Gateway,
}

impl Site {
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("site");
        std::fs::create_dir_all(root.join("chat/img")).expect("a folder");
        let gateway = Gateway::with(|config| {
            config.server.pages = root.to_str().expect("a path in UTF-8").to_owned();
            change(config);
        })
        .await;
        let site = Self { folder, gateway };
        for (path, text) in [
            ("index.html", "<p>home</p>"),
            ("chat/index.html", "<p>chat</p>"),
            ("chat/app.js", "export default 1"),
            ("chat/img/a b.svg", "<svg/>"),
            ("data", "0123456789"),
        ] {
            site.write(path, text);
        }
        site
    }

    pub async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub fn root(&self) -> std::path::PathBuf {
        self.folder.path().join("site")
    }

    pub fn write(&self, path: impl AsRef<Path>, text: &str) {
        std::fs::write(self.root().join(path), text).expect("a file");
    }

    async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Response {
        self.gateway.request("GET", target, headers, b"").await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_served_with_their_kind() {
    let site = Site::new().await;
    let http2 = Http2::connect(site.gateway.address).await;
    for (target, text, kind) in [
        ("/", "<p>home</p>", "text/html; charset=utf-8"),
        ("/index.html", "<p>home</p>", "text/html; charset=utf-8"),
        ("/chat/", "<p>chat</p>", "text/html; charset=utf-8"),
        (
            "/chat/app.js?v=2",
            "export default 1",
            "text/javascript; charset=utf-8",
        ),
        ("/chat/img/a%20b.svg", "<svg/>", "image/svg+xml"),
        ("/data", "0123456789", "application/octet-stream"),
    ] {
        for answer in [site.get(target, &[]).await, http2.get(target).await] {
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (200, text),
                "{target}"
            );
            assert_eq!(answer.header("content-type"), kind, "{target}");
            assert_eq!(answer.header("content-length"), text.len().to_string());
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert_eq!(answer.header("cache-control"), "no-cache");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_says_what_get_would() {
    let site = Site::new().await;
    let http2 = Http2::connect(site.gateway.address).await;
    let answers = [
        site.gateway.request("HEAD", "/chat/", &[], b"").await,
        http2.request("HEAD", "/chat/", "".into()).await,
    ];
    for answer in answers {
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        assert_eq!(answer.header("content-length"), "11");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_a_file_already_is_told_so() {
    let site = Site::new().await;
    let first = site.get("/data", &[]).await;
    let (tag, date) = (first.header("etag"), first.header("last-modified"));
    for condition in [("if-none-match", tag), ("if-modified-since", date)] {
        let again = site.get("/data", &[condition]).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{condition:?}");
        assert_eq!(again.header("etag"), tag);
    }
    site.write("data", "another");
    let changed = site.get("/data", &[("if-none-match", tag)]).await;
    assert_eq!((changed.status, changed.text().as_str()), (200, "another"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_is_sent_to_who_asks_for_one() {
    let site = Site::new().await;
    for (range, status, text) in [
        ("bytes=2-4", 206, "234"),
        ("bytes=-3", 206, "789"),
        ("bytes=8-100", 206, "89"),
        ("bytes=10-", 416, ""),
        ("bytes=0-1,3-4", 200, "0123456789"),
    ] {
        let answer = site.get("/data", &[("range", range)]).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, text),
            "{range}"
        );
    }
    // Whether it is still the same is not looked at, so all of it is sent.
    let headers = [("range", "bytes=2-4"), ("if-range", "\"another\"")];
    assert_eq!(site.get("/data", &headers).await.text(), "0123456789");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_asked_for_by_its_own_path_and_never_listed() {
    let site = Site::new().await;
    let answer = site.get("/chat?room=1", &[]).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (307, "/chat/?room=1")
    );
    for target in [
        "/chat/img/",
        "/nothing",
        "/data/",
        "/chat/index.html/",
        "/chat/img/../",
    ] {
        let answer = site.get(target, &[]).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "not_found"),
            "{target}"
        );
    }
    let answer = site.gateway.request("POST", "/data", &[], b"x").await;
    assert_eq!(
        (answer.status, answer.header("allow")),
        (405, "GET, HEAD, OPTIONS")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateways_own_paths_win() {
    let site = Site::new().await;
    std::fs::create_dir_all(site.root().join("v1")).expect("a folder");
    for path in ["v1/transports", "v1/mine", "healthz", "readyz", "metrics"] {
        site.write(path, "mine");
    }
    for path in ["/v1/transports", "/healthz", "/readyz", "/metrics"] {
        let answer = site.get(path, &[]).await;
        assert!(answer.status == 200 && answer.text() != "mine", "{path}");
    }
    for path in ["/v1/mine", "/v1/", "/v1"] {
        assert_eq!(site.get(path, &[]).await.status, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_folder_there_is_nothing() {
    let gateway = Gateway::start().await;
    assert_eq!(gateway.get("/").await.code(), "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_passes_the_same_door_and_its_messages_need_no_cors() {
    let site =
        Site::with(|config| config.server.admin_listen = vec!["127.0.0.1:0".to_owned()]).await;
    for headers in [
        [("host", "evil.example"), ("accept", "*/*")],
        [("origin", "http://evil.example"), ("accept", "*/*")],
        [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "no-cors"),
        ],
    ] {
        assert_eq!(site.get("/", &headers).await.status, 403, "{headers:?}");
    }
    assert_eq!(site.gateway.admin("GET", "/").await.status, 404);
    // What a browser says of a script of this page.
    let origin = format!("http://{}", site.gateway.address);
    let from_page = [
        ("origin", origin.as_str()),
        ("sec-fetch-site", "same-origin"),
    ];
    assert_eq!(
        site.gateway.publish_raw("a", b"1", &from_page).await.status,
        200
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_cost_requests() {
    let site = Site::with(|config| {
        config.limits.loopback = true;
        config.limits.requests = "3/60s".parse().expect("a rule");
    })
    .await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(site.get("/", &[]).await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_file_is_sent_in_pieces_and_holds_up_nobody() {
    let site = Site::new().await;
    let huge = std::fs::File::create(site.root().join("huge.bin")).expect("a file");
    huge.set_len(4 << 30).expect("a hole");
    let answer = http::open(site.gateway.address, "GET", "/huge.bin", &[], b"").await;
    assert_eq!(
        answer.headers()["content-length"],
        (4_u64 << 30).to_string()
    );
    let part = site
        .get("/huge.bin", &[("range", "bytes=4294967290-")])
        .await;
    assert_eq!((part.status, part.body.as_ref()), (206, &[0; 6][..]));
    let mut reader = Reader::attach(site.gateway.address, Via::Sse, &["a"], "now").await;
    site.gateway.publish("a", &1.into()).await;
    assert_eq!(reader.take(1).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_files_are_sent_at_a_time_and_one_more_is_told_to_wait() {
    let site = Site::with(|config| config.limits.files_max = 2).await;
    let huge = std::fs::File::create(site.root().join("huge.bin")).expect("a file");
    huge.set_len(1 << 30).expect("a hole");
    let open = async || http::open(site.gateway.address, "GET", "/huge.bin", &[], b"").await;
    let (first, _second) = (open().await, open().await);
    let refused = site.get("/data", &[]).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (503, "overloaded")
    );
    assert_eq!(site.get("/healthz", &[]).await.status, 200);
    drop(first);
    let is_let_in = async || site.get("/data", &[]).await.status == 200;
    super::support::until("the place to be free again", is_let_in).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_is_not_there_is_a_bad_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("a file");
    for path in [folder.path().join("nosuch"), file] {
        let path = path.to_str().expect("a path in UTF-8");
        for command in ["check-config", "serve"] {
            let args = [command, "--listen", "127.0.0.1:0", "--pages", path];
            let output = within("the program to end", run(&args)).await;
            assert_eq!(output.status.code(), Some(64), "{args:?}");
            assert!(
                stderr(&output).contains("server.pages"),
                "{}",
                stderr(&output)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_folder_is_fixed_at_the_start() {
    let site = Site::new().await;
    let mut config = Config::clone(&site.gateway.inner.config());
    config.server.pages = String::new();
    let fixed = site.gateway.inner.reload(config).expect("it can be used");
    assert_eq!(fixed, ["server.pages"]);
    assert_eq!(site.get("/", &[]).await.status, 200);
}
