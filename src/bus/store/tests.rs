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

#[tokio::test(start_paused = true)]
async fn a_list_goes_on_after_a_name_that_is_gone() {
    let store = Store::new(Bounds::small());
    for channel in ["a:1", "a:2", "a:3", "b"] {
        store.append(&name(channel), &draft(1, None)).unwrap();
    }
    let names = |page: ChannelPage| -> Vec<String> {
        let channels = page.channels.iter();
        channels.map(|channel| channel.name.to_string()).collect()
    };
    let first = store.list("a:", None, 2);
    assert_eq!(first.after, Some(name("a:2")));
    assert_eq!(names(first), ["a:1", "a:2"]);
    let last = store.list("a:", Some("a:2x"), 2);
    assert_eq!(last.after, None);
    assert_eq!(names(last), ["a:3"]);
    // What comes before the prefix is no place to go on from, what comes after it is beyond the end.
    assert_eq!(names(store.list("a:", Some("A"), 9)).len(), 3);
    assert!(names(store.list("a:", Some("b"), 9)).is_empty());
    assert_eq!(names(store.list("", Some("a:3"), 9)), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_channel_is_listed_no_more() {
    let store = Store::new(Bounds::small());
    store.append(&name("a"), &draft(1, None)).unwrap();
    tokio::time::advance(Duration::from_secs(300)).await;
    store.sweep().await;
    let table = store.table.read();
    assert!(table.names.is_empty() && table.channels.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_purge_keeps_the_head_and_the_keys() {
    let store = Store::new(Bounds::small());
    let (a, keyed) = (name("a"), draft(1, Some("k")));
    store.append(&a, &keyed).unwrap();
    store.append(&a, &draft(1, None)).unwrap();
    let (head, purged) = store.purge(&a);
    assert_eq!((head.offset, purged), (2, 2));
    assert_eq!(store.purge(&a), (head, 0));
    let first = Position { offset: 1, ..head };
    assert_eq!(store.append(&a, &keyed), Ok(Appended::Repeat(first)));
    let third = Position { offset: 3, ..head };
    assert_eq!(store.append(&a, &draft(1, None)), Ok(Appended::New(third)));
    assert_eq!(store.purge(&name("nobody")).1, 0);
    assert!(store.find(&name("nobody")).is_err(), "none is made");
}
