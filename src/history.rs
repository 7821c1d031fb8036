//! A page of one channel's history, for HTTP and for WebSocket.

use std::sync::Arc;

use crate::bus::{Budget, Bus, Gap, Item, Position, Publication, Start};
use crate::protocol::command::{HistoryRequest, Order};
use crate::protocol::page::Page;
use crate::protocol::printed::Printed;

/// A page as JSON, with its cursor.
#[derive(Debug)]
pub struct HistoryPage {
    /// Where to go on, as a token.
    pub cursor: String,
    /// The page.
    pub json: Printed,
    /// What was missed.
    pub gaps: Vec<Gap>,
}

/// Reads a page. `first_members` are printed before all others.
pub fn read(
    bus: &Bus,
    request: &HistoryRequest,
    budget: Budget,
    first_members: &str,
) -> HistoryPage {
    match request.order {
        Order::Ascending => {
            let mut reader = bus.peek(&request.channel, request.start.unwrap_or(Start::Earliest));
            let batch = bus.read(0, &mut reader, budget);
            let (messages, gaps) = split(batch.items);
            print(
                reader.position,
                reader.position,
                &messages,
                gaps,
                batch.more,
                first_members,
            )
        }
        Order::Descending => {
            let back = bus.history_back(
                &request.channel,
                request.start.unwrap_or(Start::Now),
                budget,
            );
            let gaps = back.gap.into_iter().collect();
            print(
                back.bound,
                back.follow,
                &back.messages,
                gaps,
                back.more,
                first_members,
            )
        }
    }
}

/// The messages and the gaps of a batch.
pub fn split(items: Vec<(u32, Item)>) -> (Vec<Arc<Publication>>, Vec<Gap>) {
    let (mut messages, mut gaps) = (Vec::with_capacity(items.len()), Vec::new());
    for (_, item) in items {
        match item {
            Item::Message(publication) => messages.push(publication),
            Item::Gap(gap) => gaps.push(gap),
        }
    }
    (messages, gaps)
}

fn print(
    cursor: Position,
    follow: Position,
    messages: &[Arc<Publication>],
    gaps: Vec<Gap>,
    more: bool,
    first_members: &str,
) -> HistoryPage {
    let cursor = cursor.to_string();
    let follow = follow.to_string();
    let page = Page {
        cursor: &cursor,
        messages,
        gaps: &gaps,
        more,
        follow: Some(&follow),
    };
    HistoryPage {
        json: page.print(first_members),
        cursor,
        gaps,
    }
}
