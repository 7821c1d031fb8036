use super::*;
use crate::bus::publication::{Key, Payload};

fn bounds(bytes_max: usize) -> Bounds {
    Bounds {
        bytes_max,
        ..Bounds::small()
    }
}

fn name(text: &str) -> ChannelName {
    ChannelName::parse(text).unwrap()
}

fn draft(payload_bytes: usize, key: Option<&str>) -> Draft {
    Draft {
        from: None,
        payload: Payload::Json(format!("\"{}\"", "x".repeat(payload_bytes)).into()),
        key: key.map(|id| Key {
            id: id.into(),
            digest: [0; 32],
        }),
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_runs_out_though_nobody_swept() {
    let store = Store::new(bounds(1 << 20));
    let publish = || store.append(&name("a"), &draft(1, Some("k"))).unwrap();
    assert!(matches!(publish(), Appended::New(_)));
    tokio::time::advance(Duration::from_secs(59)).await;
    assert!(matches!(publish(), Appended::Repeat(_)));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(matches!(publish(), Appended::New(_)));
}

#[tokio::test(start_paused = true)]
async fn a_refused_publish_leaves_no_channel_behind() {
    let store = Store::new(bounds(4_000));
    assert!(store.append(&name("a"), &draft(1_500, None)).is_ok());
    assert_eq!(store.append(&name("b"), &draft(5_000, None)), Err(Full));
    assert_eq!(store.totals().0, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_makes_room_though_nobody_swept() {
    let store = Store::new(bounds(4_000));
    assert!(store.append(&name("a"), &draft(1_500, None)).is_ok());
    tokio::time::advance(Duration::from_secs(100)).await;
    assert!(store.append(&name("b"), &draft(1_500, None)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn when_the_newest_messages_alone_fill_it_the_longest_idle_channel_goes() {
    let store = Store::new(bounds(6_000));
    for channel in ["a", "b"] {
        store.append(&name(channel), &draft(1_500, None)).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!(store.append(&name("c"), &draft(1_500, None)).is_ok());
    assert!(store.find(&name("a")).is_err());
    assert!(store.find(&name("b")).is_ok());
}
