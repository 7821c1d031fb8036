//! One table of scenarios over every transport.

use super::support::{Gateway, Reader, Told, Via};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_arrive_in_order() {
    for via in Via::ALL {
        let gateway = Gateway::start().await;
        let mut reader = Reader::attach(gateway.address, via, &["news"], "now").await;
        gateway.publish_all("news", 1..=50).await;
        assert_eq!(
            reader.take(50).await,
            (1..=50).map(|n| json!(n)).collect::<Vec<_>>(),
            "{via:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_comes_after_a_reconnect() {
    for via in Via::ALL {
        let gateway = Gateway::start().await;
        let mut reader = Reader::attach(gateway.address, via, &["news"], "now").await;
        gateway.publish_all("news", 1..=2).await;
        assert_eq!(reader.take(1).await, [json!(1)], "{via:?}");
        gateway.publish_all("news", 3..=4).await;
        reader.switch(via).await;
        assert_eq!(
            reader.take(3).await,
            [json!(2), json!(3), json!(4)],
            "{via:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_fell_off_the_history_is_told() {
    for via in Via::ALL {
        let gateway = Gateway::with(|config| config.history.count_max = 3).await;
        let epoch = Reader::attach(gateway.address, via, &["news"], "now")
            .await
            .positions[0]
            .0
            .clone();
        gateway.publish_all("news", 1..=10).await;
        let mut reader =
            Reader::attach(gateway.address, via, &["news"], &format!("{epoch}.2")).await;
        let gap = Told::Gap {
            channel: "news".into(),
            reason: "history".into(),
            epoch,
            offset: 7,
            lost: Some(5),
        };
        assert_eq!(reader.next().await, gap, "{via:?}");
        assert_eq!(
            reader.take(3).await,
            [json!(8), json!(9), json!(10)],
            "{via:?}"
        );
    }
}
