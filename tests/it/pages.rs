//! Pages: limits, fairness, tags, waiting, and history both ways.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Gateway, until, within};

fn offsets(page: &Value) -> Vec<u64> {
    let messages = page["messages"].as_array().expect("messages");
    messages
        .iter()
        .map(|message| message["offset"].as_u64().expect("an offset"))
        .collect()
}

fn cursor(page: &Value) -> &str {
    page["cursor"].as_str().expect("a cursor")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_cuts_a_page_and_says_so() {
    let gateway = Gateway::start().await;
    gateway.publish_all("a", 1..=5).await;
    let first = gateway.poll("channel=a&cursor=earliest&limit=3").await;
    assert_eq!(
        (offsets(&first), &first["more"]),
        (vec![1, 2, 3], &json!(true))
    );
    let rest = gateway
        .poll(&format!("channel=a&cursor={}&limit=3", cursor(&first)))
        .await;
    assert_eq!((offsets(&rest), rest.get("more")), (vec![4, 5], None));
    let exact = gateway.poll("channel=a&cursor=earliest&limit=5").await;
    assert_eq!((offsets(&exact).len(), exact.get("more")), (5, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_has_100_messages_unless_asked() {
    let gateway = Gateway::start().await;
    gateway.publish_all("a", 1..=120).await;
    let page = gateway.poll("channel=a&cursor=earliest").await;
    assert_eq!((offsets(&page).len(), &page["more"]), (100, &json!(true)));
    let page = gateway.poll("channel=a&cursor=earliest&limit=1000").await;
    assert_eq!(offsets(&page).len(), 120);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_bounded_in_bytes_and_holds_at_least_one_message() {
    let gateway = Gateway::with(|config| config.limits.page_bytes_max = 1000).await;
    for length in [300, 300, 300, 300, 5000, 1] {
        gateway.publish("a", &json!("x".repeat(length))).await;
    }
    let first = gateway.poll("channel=a&cursor=earliest").await;
    assert_eq!(
        (offsets(&first), &first["more"]),
        (vec![1, 2], &json!(true))
    );
    let second = gateway
        .poll(&format!("channel=a&cursor={}", cursor(&first)))
        .await;
    assert_eq!(offsets(&second), [3, 4]);
    let third = gateway
        .poll(&format!("channel=a&cursor={}", cursor(&second)))
        .await;
    assert_eq!(
        offsets(&third),
        [5],
        "one that is larger than a page comes alone"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_channel_does_not_crowd_out_the_others() {
    let gateway = Gateway::start().await;
    gateway.publish_all("busy", 1..=50).await;
    gateway.publish_all("b", 1..=2).await;
    gateway.publish_all("c", 1..=20).await;
    let channels = "channel=busy&channel=b&channel=c&channel=silent";
    let page = gateway
        .poll(&format!("{channels}&cursor=earliest&limit=12"))
        .await;
    let of = |name: &str| {
        let messages = page["messages"].as_array().expect("messages").iter();
        messages
            .filter(|message| message["channel"] == name)
            .count()
    };
    assert_eq!((of("busy") + of("b") + of("c"), of("b")), (12, 2));
    assert!(
        of("busy") >= 4 && of("c") >= 4,
        "each gets a third: {} {}",
        of("busy"),
        of("c")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_limit_below_the_number_of_channels_nobody_starves() {
    let gateway = Gateway::start().await;
    let mut at = cursor(&gateway.poll("channel=busy&channel=quiet").await).to_owned();
    gateway.publish("quiet", &json!("heard")).await;
    for _ in 0..5 {
        gateway.publish("busy", &json!(0)).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        let page = gateway
            .poll(&format!("channel=busy&channel=quiet&cursor={at}&limit=1"))
            .await;
        if page["messages"][0]["channel"] == "quiet" {
            return;
        }
        at = cursor(&page).to_owned();
    }
    panic!("the quiet channel was never read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_is_the_cursor_and_spares_what_is_known() {
    let gateway = Gateway::start().await;
    gateway.publish_all("a", 1..=2).await;
    let page = gateway.get("/v1/poll?channel=a&cursor=earliest").await;
    let tag = page.header("etag").to_owned();
    assert_eq!(tag, format!("\"{}\"", cursor(&page.json())));
    assert_eq!(page.header("cache-control"), "no-store");

    for target in ["/v1/poll?channel=a", "/v1/poll?channel=a&cursor=earliest"] {
        for tag in [tag.clone(), format!("W/{tag}")] {
            let known = gateway
                .request("GET", target, &[("if-none-match", &tag)], b"")
                .await;
            assert_eq!((known.status, known.body.len()), (304, 0), "{target} {tag}");
            assert_eq!(known.header("etag"), tag.trim_start_matches("W/"));
        }
    }
    gateway.publish("a", &json!(3)).await;
    let news = gateway
        .request("GET", "/v1/poll?channel=a", &[("if-none-match", &tag)], b"")
        .await;
    assert_eq!(
        (news.status, offsets(&news.json())),
        (200, vec![3]),
        "without a cursor, the tag is the cursor"
    );
    for none in ["*", "\"\""] {
        let headers = [("if-none-match", none)];
        let answer = gateway
            .request("GET", "/v1/poll?channel=a", &headers, b"")
            .await;
        assert_eq!(answer.status, 200, "{none} is no cursor");
    }
    let lost = gateway
        .request(
            "GET",
            "/v1/poll?channel=a",
            &[("if-none-match", "\"other.3\"")],
            b"",
        )
        .await;
    assert_eq!(
        lost.json()["gap"][0]["reason"],
        "epoch",
        "a gap is never hidden behind 304"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_of_several_channels_works_too() {
    let gateway = Gateway::start().await;
    gateway.publish("b", &json!(1)).await;
    let page = gateway.get("/v1/poll?channel=a&channel=b").await;
    let known = gateway
        .request(
            "GET",
            "/v1/poll?channel=a&channel=b",
            &[("if-none-match", page.header("etag"))],
            b"",
        )
        .await;
    assert_eq!(known.status, 304);
    let other_order = gateway
        .request(
            "GET",
            "/v1/poll?channel=b&channel=a",
            &[("if-none-match", page.header("etag"))],
            b"",
        )
        .await;
    assert_eq!(
        (other_order.status, other_order.code().as_str()),
        (400, "bad_cursor")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_poll_without_a_cursor_pins_now() {
    let gateway = Gateway::start().await;
    gateway.publish("a", &json!(1)).await;
    let page = gateway.poll("channel=a&channel=b").await;
    assert_eq!(page["messages"], json!([]));
    gateway.publish("a", &json!(2)).await;
    let next = gateway
        .poll(&format!("channel=a&channel=b&cursor={}", cursor(&page)))
        .await;
    assert_eq!(next["messages"][0]["data"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_poll_waits_and_answers_when_something_comes() {
    let gateway = Gateway::start().await;
    let waiting = gateway.get("/v1/longpoll?channel=a&channel=b&wait=20");
    let publishing = async {
        let parked = || async {
            gateway
                .metric("everyway_attachments{transport=\"longpoll\"}")
                .await
                == 1.0
        };
        until("the poll to be parked", parked).await;
        gateway.publish("b", &json!("now")).await;
    };
    let (answer, ()) = within("the poll to be answered", async {
        tokio::join!(waiting, publishing)
    })
    .await;
    assert_eq!(answer.json()["messages"][0]["data"], "now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_poll_that_runs_out_of_time_keeps_its_cursor() {
    let gateway = Gateway::start().await;
    gateway.publish("a", &json!(1)).await;
    let pinned = cursor(&gateway.poll("channel=a").await).to_owned();
    let answer = gateway.get("/v1/longpoll?channel=a&wait=0.05").await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"cursor": pinned, "messages": []}))
    );
    let tag = format!("\"{pinned}\"");
    let again = gateway
        .request(
            "GET",
            "/v1/longpoll?channel=a&wait=0.05",
            &[("if-none-match", &tag)],
            b"",
        )
        .await;
    assert_eq!(
        (again.status, cursor(&again.json())),
        (200, pinned.as_str())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_falls_between_two_long_polls() {
    let gateway = Gateway::start().await;
    let mut at = cursor(&gateway.poll("channel=a").await).to_owned();
    let mut got = Vec::new();
    while got.len() < 100 {
        let published = got.len() as u64 + 1;
        gateway.publish("a", &json!(published)).await;
        let page = gateway
            .get(&format!("/v1/longpoll?channel=a&cursor={at}&wait=20"))
            .await
            .json();
        got.extend(offsets(&page));
        at = cursor(&page).to_owned();
    }
    assert_eq!(got, (1..=100).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_reads_forwards_page_by_page() {
    let gateway = Gateway::start().await;
    gateway.publish_all("a", 1..=5).await;
    let first = gateway.get("/v1/history?channel=a&limit=3").await.json();
    assert_eq!(
        (offsets(&first), &first["more"]),
        (vec![1, 2, 3], &json!(true))
    );
    let rest = gateway
        .get(&format!(
            "/v1/history?channel=a&limit=3&cursor={}",
            cursor(&first)
        ))
        .await
        .json();
    assert_eq!((offsets(&rest), rest.get("more")), (vec![4, 5], None));
    let live = gateway
        .poll(&format!("channel=a&cursor={}", cursor(&rest)))
        .await;
    assert_eq!(live["messages"], json!([]), "the cursor goes on live");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_reads_backwards_and_follow_goes_on_live() {
    let gateway = Gateway::start().await;
    gateway.publish_all("a", 1..=5).await;
    let newest = gateway
        .get("/v1/history?channel=a&limit=2&order=desc")
        .await
        .json();
    assert_eq!(
        (offsets(&newest), &newest["more"]),
        (vec![5, 4], &json!(true))
    );
    gateway.publish("a", &json!(6)).await;
    let follow = newest["follow"].as_str().expect("follow").to_owned();
    let live = gateway.poll(&format!("channel=a&cursor={follow}")).await;
    assert_eq!(offsets(&live), [6], "without a gap and without a repeat");
    let older = gateway
        .get(&format!(
            "/v1/history?channel=a&limit=9&order=desc&cursor={}",
            cursor(&newest)
        ))
        .await
        .json();
    assert_eq!((offsets(&older), older.get("more")), (vec![3, 2, 1], None));
    let end = gateway
        .get(&format!(
            "/v1/history?channel=a&order=desc&cursor={}",
            cursor(&older)
        ))
        .await
        .json();
    assert_eq!((offsets(&end), end.get("gap")), (vec![], None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_tells_lost_positions_both_ways() {
    let gateway = Gateway::start().await;
    gateway.publish_all("a", 1..=2).await;
    for (order, expected) in [("asc", vec![1, 2]), ("desc", vec![2, 1])] {
        let page = gateway
            .get(&format!(
                "/v1/history?channel=a&order={order}&cursor=other.1"
            ))
            .await
            .json();
        assert_eq!(
            (&page["gap"][0]["reason"], offsets(&page)),
            (&json!("epoch"), expected),
            "{order}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_of_a_channel_without_state_is_empty() {
    let gateway = Gateway::start().await;
    for order in ["asc", "desc"] {
        let page = gateway
            .get(&format!("/v1/history?channel=a&order={order}"))
            .await
            .json();
        assert_eq!(
            (&page["messages"], page.get("gap")),
            (&json!([]), None),
            "{order}"
        );
    }
    assert_eq!(
        gateway.metric("everyway_channels").await,
        0.0,
        "reading creates nothing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_never_hides_a_gap() {
    let gateway = Gateway::start().await;
    gateway.publish("a", &json!(1)).await;
    let page = gateway.get("/v1/poll?channel=a&cursor=earliest").await;
    let tag = [("if-none-match", page.header("etag"))];
    let told = gateway
        .request("GET", "/v1/poll?channel=a&cursor=other.5", &tag, b"")
        .await;
    assert_eq!(
        (told.status, &told.json()["gap"][0]["reason"]),
        (200, &json!("epoch"))
    );
}
