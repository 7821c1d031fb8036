//! Following by polls, long or short: one page after another.

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::sleep;

use super::attachment::{Attachment, Ended};
use super::endpoint::Failure;
use crate::transport::Transport;

#[derive(Deserialize)]
struct Page<'a> {
    cursor: String,
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    gap: Vec<&'a RawValue>,
    #[serde(default)]
    more: bool,
}

pub(super) async fn attach(attachment: Attachment<'_>, waits: bool) -> Ended {
    let path = if waits {
        Transport::LongPoll.path()
    } else {
        Transport::Poll.path()
    };
    let mut was_proven = false;
    loop {
        let target = attachment.endpoint.target(path, &attachment.query(&[]));
        let body = match attachment
            .endpoint
            .fetch(Method::GET, &target, &[], Bytes::new())
            .await
        {
            Ok(body) => body,
            Err(failure) => return Ended::failed(failure, was_proven),
        };
        let page: Page = match serde_json::from_slice(&body) {
            Ok(page) => page,
            Err(error) => return Ended::failed(Failure::broken(error), was_proven),
        };
        was_proven = true;
        *attachment.cursor = page.cursor;
        // What was missed came before what is there.
        for object in page.gap.iter().chain(&page.messages) {
            if !attachment.follower.object(object.get()) {
                return Ended::Enough;
            }
        }
        if !waits && !page.more {
            sleep(attachment.follow.poll_interval).await;
        }
    }
}
