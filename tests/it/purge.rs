//! The purge of a channel: its messages go, over every transport alike; its offsets go on.

use serde_json::{Value, json};

use super::support::{Gateway, Reader, Told, Via};

async fn purge(gateway: &Gateway, channel: &str) -> Value {
    let target = format!("/v1/history?channel={channel}");
    let response = gateway.request("DELETE", &target, &[], b"").await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_had_not_read_is_told_and_who_had_notices_nothing() {
    for via in Via::ALL {
        let gateway = Gateway::start().await;
        gateway.publish_all("a", 1..=17).await;
        let mut at_head = Reader::attach(gateway.address, via, &["a"], "earliest").await;
        at_head.take(17).await;
        let epoch = at_head.positions[0].0.clone();
        let purged = purge(&gateway, "a").await;
        assert_eq!(
            purged,
            json!({"channel": "a", "epoch": epoch, "offset": 17, "purged": 17})
        );
        let cursor = format!("{epoch}.5");
        let mut behind = Reader::attach(gateway.address, via, &["a"], &cursor).await;
        let gap = Told::Gap {
            channel: "a".to_owned(),
            reason: "history".to_owned(),
            epoch: epoch.clone(),
            offset: 17,
            lost: Some(12),
        };
        assert_eq!(behind.next().await, gap, "{via:?}");
        let mut earliest = Reader::attach(gateway.address, via, &["a"], "earliest").await;
        gateway.publish("a", &json!("next")).await;
        for reader in [&mut at_head, &mut behind, &mut earliest] {
            let message = reader.message().await;
            assert_eq!(message, ("a".to_owned(), 18, json!("next")), "{via:?}");
        }
    }
}

#[tokio::test]
async fn history_is_empty_and_its_keys_are_known() {
    let gateway = Gateway::start().await;
    let key = [("idempotency-key", "k")];
    let first = gateway.publish_raw("a", b"1", &key).await.json();
    gateway.publish("a", &json!(2)).await;
    assert_eq!(purge(&gateway, "a").await["purged"], 2);
    for order in ["asc", "desc"] {
        let page = gateway
            .get(&format!("/v1/history?channel=a&order={order}"))
            .await;
        assert_eq!(page.json()["messages"], json!([]), "{order}");
        assert_eq!(page.json().get("gap"), None, "{order}");
    }
    // Who tries again is answered as before, and brings nothing back.
    assert_eq!(gateway.publish_raw("a", b"1", &key).await.json(), first);
    let other = gateway.publish_raw("a", b"3", &key).await;
    assert_eq!(other.code(), "key_conflict");
    assert_eq!(purge(&gateway, "a").await["purged"], 0);
    assert_eq!(gateway.publish("a", &json!(3)).await, 3);
}

#[tokio::test]
async fn what_is_purged_takes_no_room_and_makes_no_channel() {
    let gateway = Gateway::start().await;
    gateway.publish("a", &json!("x".repeat(1000))).await;
    assert!(gateway.inner.bus.totals().1 > 1000);
    purge(&gateway, "a").await;
    assert_eq!(gateway.inner.bus.totals(), (1, 0));
    let nobody = purge(&gateway, "nobody").await;
    assert_eq!(
        (&nobody["offset"], &nobody["purged"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(gateway.inner.bus.totals().0, 1);
}
