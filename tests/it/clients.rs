//! Clients that nobody here wrote. Their scripts are in `tests/clients`.

mod chat;
mod page;
mod tls;

use everyway::config::Seconds;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio_tungstenite::tungstenite::Message;

use super::support::program::Program;
use super::support::proxy::Proxy;
use super::support::ws::Ws;
use super::support::{Gateway, need, until};

/// Starts `curl`, if it is there.
fn curl(gateway: &Gateway, target: &str, args: &[&str]) -> Option<Program> {
    let mut command = need::curl()?;
    let url = format!("http://{}{target}", gateway.address);
    command.args(args).arg(url);
    Some(Program::start(command))
}

/// The payloads of a page.
fn payloads(page: &str) -> Vec<Value> {
    let page: Value = serde_json::from_str(page).unwrap_or_else(|error| panic!("{error}: {page}"));
    let messages = page["messages"].as_array().expect("messages");
    let payload = |message: &Value| message.get("data").or(message.get("base64")).cloned();
    let payloads = messages.iter().map(payload);
    payloads
        .map(|payload| payload.expect("a payload"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_publishes_json_text_and_bytes() {
    let gateway = Gateway::start().await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), b"\0\xff\r\n").expect("a file that takes bytes");
    let bytes = format!("@{}", file.path().display());
    let bodies = [
        ("application/json", r#"{"n": 1}"#, json!({"n": 1})),
        ("application/x-www-form-urlencoded", "[2]", json!([2])),
        ("text/plain", "3", json!("3")),
        ("application/octet-stream", &bytes, json!("AP8NCg==")),
    ];
    for (kind, body, _) in &bodies {
        let header = format!("Content-Type: {kind}");
        let args = ["--fail-with-body", "-H", &header, "--data-binary", body];
        let Some(publish) = curl(&gateway, "/v1/publish?channel=news", &args) else {
            return;
        };
        publish.text().await;
    }
    let Some(poll) = curl(&gateway, "/v1/poll?channel=news&cursor=earliest", &[]) else {
        return;
    };
    assert_eq!(
        payloads(&poll.text().await),
        bodies.map(|(_, _, payload)| payload)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_polls_and_hears_that_nothing_changed() {
    let gateway = Gateway::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let etag = folder.path().join("etag").display().to_string();
    // The ETag of one answer is the If-None-Match of the next.
    let mut args = vec!["--etag-compare", &etag, "--etag-save", &etag];
    args.extend(["--write-out", "%{http_code}"]);
    let mut answers = Vec::new();
    for publish in [true, false, true, false] {
        if publish {
            gateway.publish("news", &json!(answers.len())).await;
        }
        let target = "/v1/poll?channel=news&cursor=earliest";
        let Some(poll) = curl(&gateway, target, &args) else {
            return;
        };
        answers.push(poll.text().await);
    }
    assert!(answers[0].ends_with("}200"), "{answers:?}");
    assert!(
        answers[2].contains(r#""data":2}"#) && answers[2].ends_with("}200"),
        "{answers:?}"
    );
    assert_eq!([&answers[1], &answers[3]], ["304", "304"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_waits_in_a_long_poll() {
    let gateway = Gateway::start().await;
    let target = "/v1/longpoll?channel=news&wait=15";
    let Some(poll) = curl(&gateway, target, &[]) else {
        return;
    };
    until_attached(&gateway, "longpoll").await;
    gateway.publish("news", &json!("at last")).await;
    assert_eq!(payloads(&poll.text().await), ["at last"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_shows_an_event_stream_as_it_comes() {
    let gateway = Gateway::start().await;
    let Some(mut stream) = curl(&gateway, "/v1/sse?channel=news", &["-N"]) else {
        return;
    };
    let welcome = event(&mut stream).await;
    assert!(welcome.contains("event: welcome\nid: "), "{welcome}");
    for n in 1..=2 {
        gateway.publish("news", &json!(n)).await;
        let message = event(&mut stream).await;
        assert!(message.contains(&format!(r#""data":{n}}}"#)), "{message}");
    }
}

/// The lines of the next event.
async fn event(stream: &mut Program) -> String {
    let mut event = String::new();
    loop {
        match stream.line().await.as_deref() {
            Some("") => return event,
            Some(line) => event += &format!("{line}\n"),
            None => panic!("the stream ended after {event:?}"),
        }
    }
}

/// Waits until somebody is attached over a transport.
async fn until_attached(gateway: &Gateway, transport: &str) {
    let metric = format!("everyway_attachments{{transport=\"{transport}\"}}");
    until(&format!("an attachment over {transport}"), || async {
        gateway.metric(&metric).await > 0.0
    })
    .await;
}

/// The same tour by two clients; what it does is in `tests/clients/websocket_tour.*`.
async fn websocket_tour(command: Option<Command>) {
    let Some(command) = command else { return };
    let gateway = Gateway::start().await;
    websocket_tour_at(command, &format!("ws://{}/v1/ws", gateway.address)).await;
}

async fn websocket_tour_at(mut command: Command, url: &str) {
    command.arg(url);
    let mut seen = Program::start(command).all_json().await;
    // An answer and the message may overtake each other.
    seen[2..4].sort_by_key(|object| object["type"] == "published");
    let expected = [
        json!({"type": "welcome", "channels": []}),
        json!({"type": "subscribed", "channel": "news", "ref": "a", "offset": 0}),
        json!({"type": "message", "channel": "news", "offset": 1, "data": {"n": 1}}),
        json!({"type": "published", "channel": "news", "ref": "b", "offset": 1}),
        json!({"type": "answered", "ping": true}),
        json!({"type": "welcome"}),
        json!({"type": "published", "offset": 2}),
        json!({"type": "published", "offset": 3}),
        json!({"type": "welcome"}),
        json!({"type": "message", "offset": 2, "data": {"n": 2}}),
        json!({"type": "message", "offset": 3, "data": {"n": 3}}),
        json!({"type": "disconnect", "code": "bad_cursor", "reconnect": false}),
        json!({"type": "closed", "code": 4000, "reason": "bad_cursor"}),
    ];
    assert_eq!(seen.len(), expected.len(), "{seen:#?}");
    for (seen, expected) in seen.iter().zip(&expected) {
        assert!(has_fields(seen, expected), "{seen} is not {expected}");
    }
}

fn has_fields(object: &Value, fields: &Value) -> bool {
    let fields = fields.as_object().expect("an object");
    fields.iter().all(|(name, value)| object[name] == *value)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_websockets_takes_a_tour() {
    websocket_tour(need::python("websocket_tour.py")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_ws_takes_a_tour() {
    websocket_tour(need::node("websocket_tour.js")).await;
}

/// A client that says nothing stays, because its library answers pings.
async fn websocket_listener(command: Option<Command>) {
    let Some(mut command) = command else { return };
    let gateway = Gateway::with(|config| {
        config.timeouts.heartbeat_s = Seconds::new(1);
        config.timeouts.pong_s = Seconds::new(1);
    })
    .await;
    command.arg(format!("ws://{}/v1/ws?channel=news", gateway.address));
    let mut listener = Program::start(command);
    listener.json_of("welcome").await;
    // The second ping comes when the first one was answered, and who came later has it now. So the listener has answered.
    let (mut other, _) = Ws::welcomed(gateway.address, "/v1/ws").await;
    for _ in 0..2 {
        let ping = other.message().await;
        assert!(matches!(ping, Some(Message::Ping(_))), "{ping:?}");
    }
    gateway.publish("news", &json!("still there")).await;
    assert_eq!(listener.json().await["data"], "still there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_websockets_answers_pings() {
    websocket_listener(need::python("websocket_listen.py")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_ws_answers_pings() {
    websocket_listener(need::node("websocket_listen.js")).await;
}

/// A follower of a stream that is cut while it waits finds what was published meanwhile, before its first message, too.
async fn sse_cut_while_idle(command: Option<Command>) {
    let Some(mut command) = command else { return };
    let gateway = Gateway::start().await;
    let proxy = Proxy::before(gateway.address).await;
    command.arg(format!("http://{}/v1/sse?channel=news", proxy.address));
    let mut follower = Program::start(command);
    follower.json_of("welcome").await;
    for missed in [1..=3, 4..=5] {
        proxy.cut();
        gateway.publish_all("news", missed.clone()).await;
        proxy.mend();
        for n in missed {
            assert_eq!(follower.json_of("message").await["data"]["data"], n);
        }
    }
}

/// A follower of a stream that is cut somewhere, in the middle of an event as a rule, misses and repeats nothing.
async fn sse_cut_anywhere(command: Option<Command>) {
    let Some(mut command) = command else { return };
    let gateway = Gateway::start().await;
    gateway.publish_all("news", 1..=20).await;
    let proxy = Proxy::that_cuts_after(gateway.address, vec![1000, 1600]).await;
    // It comes back to this URL: what it saw must win over the cursor that it began with.
    let target = "/v1/sse?channel=news&cursor=earliest";
    command.arg(format!("http://{}{target}", proxy.address));
    let mut follower = Program::start(command);
    for n in 1..=20 {
        assert_eq!(follower.json_of("message").await["data"]["data"], n);
    }
    let opened = r#"everyway_attachments_opened_total{transport="sse"}"#;
    assert_eq!(gateway.metric(opened).await, 3.0, "two cuts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_sseclient_comes_back_to_what_it_missed() {
    sse_cut_while_idle(need::python("sse_follow.py")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_sseclient_survives_a_cut_anywhere() {
    sse_cut_anywhere(need::python("sse_follow.py")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_eventsource_comes_back_to_what_it_missed() {
    sse_cut_while_idle(need::node("sse_follow.js")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_eventsource_survives_a_cut_anywhere() {
    sse_cut_anywhere(need::node("sse_follow.js")).await;
}
