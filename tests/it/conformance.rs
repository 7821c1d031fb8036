//! One table of scenarios, each run over every transport.

use serde_json::{Value, json};

use super::support::{Gateway, Reader, Told, Via, random_text, until};

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<Value> {
    range.map(Value::from).collect()
}

fn gap(channel: &str, reason: &str, position: &(String, u64), lost: Option<u64>) -> Told {
    let (epoch, offset) = position.clone();
    Told::Gap {
        channel: channel.into(),
        reason: reason.into(),
        epoch,
        offset,
        lost,
    }
}

/// Where a channel stands now, by a short poll.
async fn head(gateway: &Gateway, channel: &str) -> (String, u64) {
    let page = gateway.poll(&format!("channel={channel}")).await;
    let cursor = page["cursor"].as_str().expect("a cursor");
    let (epoch, offset) = cursor.split_once('.').expect("epoch.offset");
    (epoch.to_owned(), offset.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_arrive_in_order() {
    for via in Via::ALL {
        let gateway = Gateway::start().await;
        let mut reader = Reader::attach(gateway.address, via, &["news"], "now").await;
        gateway.publish_all("news", 1..=50).await;
        assert_eq!(reader.take(50).await, numbers(1..=50), "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_any_size_arrive_as_they_were_published() {
    // Around the sizes from which on they are compressed and fragmented, and the largest.
    let sizes = [
        0, 1, 100, 250, 256, 300, 5_000, 16_000, 16_384, 20_000, 65_000,
    ];
    let repeated = sizes.map(|size| json!("ab cd ".repeat(size / 6 + 1)[..size]));
    let random = sizes.map(|size| json!(random_text(size)));
    let messages: Vec<Value> = repeated.into_iter().chain(random).collect();
    for via in Via::ALL {
        let gateway = Gateway::start().await;
        let mut reader = Reader::attach(gateway.address, via, &["news"], "now").await;
        for message in &messages {
            gateway.publish("news", message).await;
        }
        assert!(
            reader.take(messages.len()).await == messages,
            "{via:?}: live"
        );
        let mut late = Reader::attach(gateway.address, via, &["news"], "earliest").await;
        assert!(late.take(messages.len()).await == messages, "{via:?}: kept");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_comes_after_a_reconnect() {
    for via in Via::ALL {
        let gateway = Gateway::start().await;
        let mut reader = Reader::attach(gateway.address, via, &["news"], "now").await;
        gateway.publish_all("news", 1..=2).await;
        assert_eq!(reader.take(1).await, numbers(1..=1), "{via:?}");
        gateway.publish_all("news", 3..=4).await;
        reader.switch(via).await;
        assert_eq!(reader.take(3).await, numbers(2..=4), "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_drops_before_its_first_message_resumes_exactly() {
    for via in Via::ALL {
        let gateway = Gateway::start().await;
        gateway.publish("news", &json!("old")).await;
        let mut reader = Reader::attach(gateway.address, via, &["news"], "now").await;
        gateway.publish_all("news", 1..=3).await;
        for next in Via::ALL {
            reader.switch(next).await;
        }
        reader.switch(via).await;
        assert_eq!(reader.take(3).await, numbers(1..=3), "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn earliest_begins_with_the_oldest_and_now_with_the_next() {
    for via in Via::ALL {
        let gateway = Gateway::with(|config| config.history.count_max = 2).await;
        gateway.publish_all("news", 1..=3).await;
        let mut now = Reader::attach(gateway.address, via, &["news"], "now").await;
        let mut earliest = Reader::attach(gateway.address, via, &["news"], "earliest").await;
        assert_eq!(earliest.take(2).await, numbers(2..=3), "{via:?}");
        gateway.publish("news", &json!(4)).await;
        assert_eq!(earliest.take(1).await, numbers(4..=4), "{via:?}");
        assert_eq!(now.take(1).await, numbers(4..=4), "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_fell_off_the_history_is_told() {
    for via in Via::ALL {
        let gateway = Gateway::with(|config| config.history.count_max = 3).await;
        let (epoch, _) = head(&gateway, "news").await;
        gateway.publish_all("news", 1..=10).await;
        let start = format!("{epoch}.2");
        let mut reader = Reader::attach(gateway.address, via, &["news"], &start).await;
        assert_eq!(
            reader.next().await,
            gap("news", "history", &(epoch, 7), Some(5)),
            "{via:?}"
        );
        assert_eq!(reader.take(3).await, numbers(8..=10), "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_of_another_epoch_is_told() {
    for via in Via::ALL {
        let gateway = Gateway::start().await;
        gateway.publish_all("news", 1..=2).await;
        let (epoch, _) = head(&gateway, "news").await;
        let mut reader = Reader::attach(gateway.address, via, &["news"], "otherlife.1").await;
        assert_eq!(
            reader.next().await,
            gap("news", "epoch", &(epoch, 0), None),
            "{via:?}"
        );
        assert_eq!(reader.take(2).await, numbers(1..=2), "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_above_the_head_is_told() {
    for via in Via::ALL {
        let gateway = Gateway::start().await;
        gateway.publish("news", &json!(1)).await;
        let (epoch, _) = head(&gateway, "news").await;
        let start = format!("{epoch}.9");
        let mut reader = Reader::attach(gateway.address, via, &["news"], &start).await;
        assert_eq!(
            reader.next().await,
            gap("news", "ahead", &(epoch, 0), None),
            "{via:?}"
        );
        assert_eq!(reader.take(1).await, numbers(1..=1), "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_position_of_a_channel_without_state_is_told() {
    for via in Via::ALL {
        let gateway = Gateway::start().await;
        let vacant = head(&gateway, "news").await;
        let mut reader = Reader::attach(gateway.address, via, &["news"], "otherlife.7").await;
        assert_eq!(
            reader.next().await,
            gap("news", "epoch", &vacant, None),
            "{via:?}"
        );
        gateway.publish("news", &json!(1)).await;
        assert_eq!(reader.take(1).await, numbers(1..=1), "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_is_told_again_to_a_reader_that_dropped_before_it_heard() {
    for via in Via::ALL {
        for next in Via::ALL {
            let gateway = Gateway::start().await;
            gateway.publish("news", &json!(1)).await;
            let (epoch, _) = head(&gateway, "news").await;
            let attach = Reader::attach(gateway.address, via, &["news"], "otherlife.7");
            let mut reader = attach.await;
            if matches!(via.transport(), Via::LongPoll | Via::Poll) {
                // A page tells gap and cursor in one; a reader that never got it asks again as before.
                reader = Reader::attach(gateway.address, next, &["news"], "otherlife.7").await;
            } else {
                reader.switch(next).await;
            }
            let told = gap("news", "epoch", &(epoch, 0), None);
            assert_eq!(reader.next().await, told, "{via:?} then {next:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aged_messages_are_gone_and_told() {
    for via in Via::ALL {
        let gateway = Gateway::with(|config| {
            config.history.age_s_max = serde_json::from_value(json!(0.05)).expect("seconds");
        })
        .await;
        let (epoch, _) = head(&gateway, "news").await;
        gateway.publish_all("news", 1..=3).await;
        let all_gone = || async { gateway.metric("everyway_history_bytes").await == 0.0 };
        until("the sweep to drop aged messages", all_gone).await;
        let start = format!("{epoch}.1");
        let mut reader = Reader::attach(gateway.address, via, &["news"], &start).await;
        assert_eq!(
            reader.next().await,
            gap("news", "history", &(epoch, 3), Some(2)),
            "{via:?}"
        );
        gateway.publish("news", &json!(4)).await;
        assert_eq!(reader.take(1).await, numbers(4..=4), "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_channels_come_over_one_attachment() {
    let names: Vec<String> = (0..100).map(|n| format!("room:{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for via in Via::ALL {
        let gateway = Gateway::start().await;
        let mut reader = Reader::attach(gateway.address, via, &names, "now").await;
        for (n, name) in names.iter().enumerate().rev() {
            gateway.publish(name, &json!(n)).await;
        }
        let mut got = Vec::new();
        for _ in &names {
            let (channel, offset, data) = reader.message().await;
            assert_eq!((channel, offset), (format!("room:{data}"), 1), "{via:?}");
            got.push(data.as_u64());
        }
        got.sort_unstable();
        assert_eq!(got, (0..100).map(Some).collect::<Vec<_>>(), "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_channel_begins_a_new_epoch_and_old_positions_are_told() {
    for via in Via::ALL {
        let gateway = Gateway::with(|config| config.history.channels_max = 1).await;
        gateway.publish("news", &json!("old")).await;
        let old = head(&gateway, "news").await;
        // There is room for one channel, and nobody attends news.
        gateway.publish("other", &json!(0)).await;
        let vacant = head(&gateway, "news").await;
        assert_ne!(old.0, vacant.0, "a forgotten channel has another epoch");
        let start = format!("{}.{}", old.0, old.1);
        let mut reader = Reader::attach(gateway.address, via, &["news"], &start).await;
        assert_eq!(
            reader.next().await,
            gap("news", "epoch", &vacant, None),
            "{via:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_leaves_no_channel_behind() {
    for via in Via::ALL {
        let gateway = Gateway::start().await;
        let reader = Reader::attach(gateway.address, via, &["a", "b"], "now").await;
        drop(reader);
        let none_left = || async { gateway.metric("everyway_channels").await == 0.0 };
        until("the channels of a reader that left to go", none_left).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_attachments_read_the_same() {
    let gateway = Gateway::start().await;
    let mut readers = Vec::new();
    for via in Via::ALL {
        for _ in 0..5 {
            readers.push(Reader::attach(gateway.address, via, &["news"], "now").await);
        }
    }
    gateway.publish_all("news", 1..=20).await;
    for reader in &mut readers {
        assert_eq!(reader.take(20).await, numbers(1..=20), "{:?}", reader.via);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_costs_a_position_and_is_told_when_it_falls_off() {
    for via in Via::ALL {
        let gateway = Gateway::with(|config| config.history.count_max = 20).await;
        let mut slow = Reader::attach(gateway.address, via, &["news"], "now").await;
        // More than all buffers between us hold, also after compression.
        let big = json!(random_text(60_000));
        for _ in 0..300 {
            gateway.publish("news", &big).await;
        }
        let kept = gateway.metric("everyway_history_bytes").await;
        assert!(kept <= 1024.0 * 1024.0, "history holds {kept} bytes");
        let (mut told, mut messages) = (0, 0);
        while slow.positions[0].1 < 300 {
            match slow.next().await {
                Told::Message { .. } => messages += 1,
                Told::Gap { lost, .. } => told += lost.expect("a count"),
            }
        }
        assert_eq!(
            told + messages,
            300,
            "{via:?}: every message is handed over or told to be lost"
        );
        assert!(told > 0, "{via:?}: the reader fell off the history");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hooks_on_the_limit_of_attachments_is_told_to_come_back() {
    let gateway = Gateway::with(|config| config.limits.attachments_max = 1).await;
    let (first, _) = super::support::ws::Ws::welcomed(gateway.address, "/v1/ws").await;
    let mut second = super::support::ws::Ws::open(gateway.address, "/v1/ws").await;
    let (last, close, reason) = second.end().await;
    assert_eq!((close, reason.as_str()), (1013, "overloaded"));
    assert_eq!(
        (&last["code"], &last["reconnect"]),
        (&json!("overloaded"), &json!(true))
    );
    assert!(last["retry_after_ms"].is_u64());

    let target = "/v1/sse?channel=a";
    let mut stream = super::support::sse::Stream::open(gateway.address, target, &[]).await;
    assert_eq!(
        stream.status, 200,
        "an EventSource stops for good at any other status"
    );
    let event = stream.next().await.expect("a farewell");
    assert_eq!(event.name, "disconnect");
    assert!(stream.retry_ms.is_some() && event.id.is_none());
    assert_eq!(stream.next().await, None);

    let parked = gateway.get("/v1/longpoll?channel=a").await;
    assert_eq!((parked.status, parked.code().as_str()), (503, "overloaded"));
    assert!(!parked.header("retry-after").is_empty());
    assert_eq!(
        gateway.get("/v1/poll?channel=a").await.status,
        200,
        "a short poll holds nothing"
    );

    first.close().await;
    let freed = || async {
        gateway
            .metric("everyway_attachments{transport=\"websocket\"}")
            .await
            == 0.0
    };
    until("the place to be free again", freed).await;
    super::support::ws::Ws::welcomed(gateway.address, "/v1/ws").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transport_that_is_switched_off_is_not_there() {
    use everyway::transport::Transport;
    let gateway = Gateway::with(|config| config.server.transports = vec![Transport::Poll]).await;
    for via in [Via::WebSocket, Via::Sse, Via::LongPoll] {
        let response = gateway.get(&format!("{}?channel=a", via.path())).await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (404, "not_found"),
            "{via:?}"
        );
    }
    let offered = gateway.get("/v1/transports").await.json();
    assert_eq!(offered["transports"].as_array().expect("a list").len(), 1);
    assert_eq!(offered["transports"][0]["name"], "poll");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_come_while_nothing_else_does() {
    let gateway = Gateway::with(|config| {
        config.timeouts.heartbeat_s = serde_json::from_value(json!(0.05)).expect("seconds");
        config.timeouts.pong_s = config.timeouts.heartbeat_s;
    })
    .await;
    let target = "/v1/sse?channel=a";
    let mut stream = super::support::sse::Stream::open(gateway.address, target, &[]).await;
    let welcome = stream.next().await.expect("welcome");
    assert_eq!(welcome.name, "welcome");
    let ping = stream.next().await.expect("a ping");
    assert_eq!(
        (ping.name.as_str(), ping.data.as_str(), ping.id),
        ("ping", "{}", None)
    );

    let (mut ws, welcome) = super::support::ws::Ws::welcomed(gateway.address, "/v1/ws").await;
    assert_eq!(welcome["heartbeat_s"], json!(0.05));
    let ping = ws.message().await.expect("a ping");
    assert!(ping.is_ping(), "{ping:?}");
}
