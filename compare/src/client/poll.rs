//! Long polling and short polling: the same page, asked for in two ways.

use std::ops::ControlFlow;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tokio::time::{Instant, sleep_until};

use super::message::Page;
use super::{Answer, Connection, Subscription, Told, refused};
use crate::meter::Meter;

/// Most messages of a page: as many as the gateway gives.
const LIMIT: usize = 1000;

/// Where a poll stands.
struct Place {
    epoch: String,
    offset: u64,
}

/// What came of a page.
struct Read {
    place: Place,
    more: bool,
    flow: ControlFlow<()>,
}

/// Asks again as soon as there is an answer.
pub async fn follow_long(
    mut connection: Connection,
    subscription: &Subscription,
    meter: &Arc<Meter>,
    told: &mut impl Told,
) -> Result<()> {
    let target = subscription.target("/v1/longpoll");
    // A first one that does not wait says where the channel stands.
    let first = connection
        .get(&format!("{target}&wait=0&limit={LIMIT}"), None)
        .await?;
    let mut last = attach(&target, &first, meter, told)?;
    let wait = subscription.wait.map_or(String::new(), |wait| {
        format!("&wait={}", wait.as_secs_f64())
    });
    while last.flow.is_continue() {
        let Place { epoch, offset } = &last.place;
        let target = format!(
            "/v1/longpoll?channel={}&cursor={epoch}.{offset}&limit={LIMIT}{wait}",
            subscription.channel
        );
        let answer = connection.get(&target, None).await?;
        last = read(&target, &answer, Instant::now(), meter, told)?;
        meter.settle();
    }
    Ok(())
}

/// Asks at fixed times, and at once if there is more.
pub async fn follow_short(
    mut connection: Connection,
    subscription: &Subscription,
    meter: &Arc<Meter>,
    told: &mut impl Told,
) -> Result<()> {
    let target = subscription.target("/v1/poll");
    let first = connection
        .get(&format!("{target}&limit={LIMIT}"), None)
        .await?;
    let mut last = attach(&target, &first, meter, told)?;
    let mut next = Instant::now() + subscription.first_poll_after;
    // From here on the tag is the cursor, and an answer without news is 304.
    let target = format!("/v1/poll?channel={}&limit={LIMIT}", subscription.channel);
    while last.flow.is_continue() {
        if !last.more {
            sleep_until(next).await;
            // Who is late polls at once, and not more often afterwards.
            next = (next + subscription.poll_interval).max(Instant::now());
        }
        let tag = format!("\"{}.{}\"", last.place.epoch, last.place.offset);
        let answer = connection
            .get(&target, Some(("if-none-match", &tag)))
            .await?;
        if answer.status == 304 {
            last.more = false;
        } else {
            last = read(&target, &answer, Instant::now(), meter, told)?;
        }
        meter.settle();
    }
    Ok(())
}

/// The first page: where the client stands now, and what it had missed.
fn attach(target: &str, answer: &Answer, meter: &Meter, told: &mut impl Told) -> Result<Read> {
    let at = Instant::now();
    meter.attached();
    let page = page_of(target, answer)?;
    let (epoch, offset) = page
        .position()
        .context("a cursor of one channel is epoch.offset")?;
    told.attached(epoch, offset - page.messages.len() as u64);
    let read = tell(&page, at, meter, told)?;
    meter.settle();
    Ok(read)
}

fn read(
    target: &str,
    answer: &Answer,
    at: Instant,
    meter: &Meter,
    told: &mut impl Told,
) -> Result<Read> {
    tell(&page_of(target, answer)?, at, meter, told)
}

fn page_of<'a>(target: &str, answer: &'a Answer) -> Result<Page<'a>> {
    if answer.status != 200 {
        return Err(refused(target, answer.status, &answer.body));
    }
    let page: Page<'a> = serde_json::from_slice(&answer.body)?;
    ensure!(
        page.gap.is_none(),
        "messages were missed: {}",
        page.gap.map_or("", |gap| gap.get())
    );
    Ok(page)
}

fn tell(page: &Page<'_>, at: Instant, meter: &Meter, told: &mut impl Told) -> Result<Read> {
    let (epoch, offset) = page
        .position()
        .context("a cursor of one channel is epoch.offset")?;
    let mut flow = ControlFlow::Continue(());
    for message in &page.messages {
        meter.payload(message.payload().len());
        if flow.is_continue() {
            flow = told.message(at, message);
        }
    }
    Ok(Read {
        place: Place {
            epoch: epoch.to_owned(),
            offset,
        },
        more: page.more,
        flow,
    })
}
