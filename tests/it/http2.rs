//! What is particular to HTTP/2.

use hyper::body::Bytes;
use serde_json::json;

use super::support::frames::{self, DATA, END_STREAM, Frames, RST_STREAM, frame};
use super::support::http2::Http2;
use super::support::{Gateway, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_to_head_has_a_length_and_no_body() {
    let gateway = Gateway::start().await;
    let http2 = Http2::connect(gateway.address).await;
    for target in ["/healthz", "/readyz", "/metrics", "/v1/transports"] {
        let head = http2.request("HEAD", target, Bytes::new()).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{target}");
        assert!(
            head.header("content-length")
                .parse::<usize>()
                .expect("a length")
                > 0
        );
    }
    let refused = http2.request("HEAD", "/v1/nothing", Bytes::new()).await;
    assert_eq!((refused.status, refused.body.len()), (404, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_comes_after_the_body_so_that_no_client_drops_it() {
    let gateway = Gateway::start().await;
    for target in [
        "/v1/publish?channel=presence:a",
        "/v1/publish?channel=a&channel=a",
        "/v1/nothing",
    ] {
        let mut client = Frames::open(gateway.address).await;
        client.send(&frames::post(1, target)).await;
        client.send(&frame(DATA, 0, 1, &[b'1'; 1000])).await;
        // Whatever is said before the body ends is said before this is answered.
        assert!(client.is_alive().await, "{target}");
        client
            .send(&frame(DATA, END_STREAM, 1, &[b'1'; 1000]))
            .await;
        loop {
            let frame = client.next().await.expect("an answer");
            assert_ne!(frame.kind, RST_STREAM, "{target}");
            if frame.kind == DATA && frame.flags & END_STREAM != 0 {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_streams_is_closed_after_its_time() {
    let gateway = Gateway::with(|config| {
        config.timeouts.idle_s = serde_json::from_value(json!(0.3)).expect("seconds");
    })
    .await;
    let (idle, busy) = (
        Http2::connect(gateway.address).await,
        Http2::connect(gateway.address).await,
    );
    assert_eq!(idle.get("/healthz").await.status, 200);
    let stream = busy.open("/v1/sse?channel=a").await;
    until("the idle connection to be closed", || async {
        idle.is_closed()
    })
    .await;
    assert_eq!(busy.get("/healthz").await.status, 200);
    drop(stream);
    until("the other one to be closed", || async { busy.is_closed() }).await;
}
