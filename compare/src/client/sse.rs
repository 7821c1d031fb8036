//! Server-Sent Events (WHATWG HTML, section 9.2) as a client receives them.

use std::ops::ControlFlow;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, BytesMut};
use tokio::time::Instant;

use super::message::Event;
use super::{Connection, Subscription, Told};
use crate::meter::Meter;

/// Most bytes of an event.
const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Takes the next event: its `data:`, which the gateway writes on one line; nothing if it is not there yet. `searched` is
/// how many bytes are known to hold no end, so that a large event is not searched again with each read.
fn take_event(received: &mut BytesMut, searched: &mut usize) -> Result<Option<bytes::Bytes>> {
    let from = searched.saturating_sub(1);
    let Some(at) = received[from..].windows(2).position(|pair| pair == b"\n\n") else {
        ensure!(
            received.len() <= EVENT_BYTES_MAX,
            "an event of over {EVENT_BYTES_MAX} bytes"
        );
        *searched = received.len();
        return Ok(None);
    };
    let event = received.split_to(from + at).freeze();
    received.advance(2);
    *searched = 0;
    let mut start = 0;
    for line in event.split(|byte| *byte == b'\n') {
        if let Some(data) = line.strip_prefix(b"data:") {
            let spaces = usize::from(data.first() == Some(&b' '));
            return Ok(Some(event.slice(start + 5 + spaces..start + line.len())));
        }
        start += line.len() + 1;
    }
    Ok(Some(bytes::Bytes::new()))
}

/// Receives until `told` has enough.
pub async fn follow(
    connection: Connection,
    subscription: &Subscription,
    meter: &Arc<Meter>,
    told: &mut impl Told,
) -> Result<()> {
    let mut stream = connection.stream(&subscription.target("/v1/sse")).await?;
    let (mut received, mut searched) = (BytesMut::new(), 0);
    loop {
        let bytes = stream
            .read()
            .await?
            .context("the event stream ended without a farewell")?;
        let at = Instant::now();
        received.extend_from_slice(&bytes);
        while let Some(data) = take_event(&mut received, &mut searched)? {
            if !data.is_empty() && tell(&data, at, meter, told)?.is_break() {
                return Ok(());
            }
        }
        if received.is_empty() {
            meter.settle();
        }
    }
}

fn tell(data: &[u8], at: Instant, meter: &Meter, told: &mut impl Told) -> Result<ControlFlow<()>> {
    match Event::read(data)? {
        Event::Welcome(place) => {
            meter.attached();
            told.attached(&place.epoch, place.offset);
        }
        Event::Message(message) => {
            meter.payload(message.payload().len());
            return Ok(told.message(at, &message));
        }
        Event::Other => {}
        Event::Bad(kind) => bail!("the gateway sent {kind}: {}", String::from_utf8_lossy(data)),
    }
    Ok(ControlFlow::Continue(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_wherever_they_are_cut() {
        let text = b"retry: 1056\nevent: welcome\nid: k.0\ndata: {\"a\":1}\n\nevent: ping\ndata: {}\n\nid: k.1\ndata: {\"b\":2}\n\n";
        for step in 1..text.len() {
            let (mut received, mut searched, mut found) = (BytesMut::new(), 0, Vec::new());
            for piece in text.chunks(step) {
                received.extend_from_slice(piece);
                while let Some(data) = take_event(&mut received, &mut searched).expect("events") {
                    found.push(data);
                }
            }
            assert_eq!(
                found,
                [&b"{\"a\":1}"[..], b"{}", b"{\"b\":2}"],
                "steps of {step}"
            );
        }
    }
}
