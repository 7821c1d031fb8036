//! What a message weighs on the wire: bytes by direction and kind, a pair of bars for each transport.

use maud::{Markup, html};

use super::axis::{Axis, px};
use super::{Plot, class, tick};
use crate::condition::{Choice, Condition};
use crate::metric::Metric;
use crate::results::{ByteKinds, Bytes, CellResult, Results};
use crate::text;

const WIDTH: f64 = 500.0;
const LEFT: f64 = 42.0;
const RIGHT: f64 = 480.0;
const TOP: f64 = 34.0;
const ROW: f64 = 50.0;
const BAR: f64 = 12.0;

/// The kinds from the inside out, with the class that shades each.
const KINDS: [(&str, &str); 4] = [
    ("payload", "shade-1"),
    ("framing", "shade-2"),
    ("headers", "shade-3"),
    ("handshake", "shade-4"),
];

/// The plot of one condition, to the scale of `largest` bytes; absent if no valid cell has bytes.
pub fn plot(results: &Results, condition: &Condition, largest: f64) -> Option<Plot> {
    let cells = measured(results, condition);
    if cells.is_empty() {
        return None;
    }
    let bottom = TOP + ROW * cells.len() as f64;
    let x = Axis::linear(largest, LEFT, RIGHT);
    let drawing = html! {
        (key())
        (x.across(TOP, bottom, "bytes per delivered message", |value| tick(Metric::Bytes, value)))
        @for (index, (cell, bytes)) in cells.iter().enumerate() {
            (row(cell, bytes, &x, TOP + ROW * index as f64))
        }
    };
    Some(Plot {
        title: format!(
            "Bytes per message of {} over {}",
            text::payload(condition.payload_bytes),
            text::protocol(condition.protocol)
        ),
        condition: text::work(condition),
        description: description(&cells),
        width: WIDTH,
        height: bottom + 46.0,
        drawing,
    })
}

/// The longest bar of a condition, so that several plots can share a scale.
pub fn largest(results: &Results, condition: &Condition) -> f64 {
    measured(results, condition)
        .iter()
        .flat_map(|(_, bytes)| [total(&bytes.down), total(&bytes.up)])
        .fold(0.0, f64::max)
}

fn measured<'a>(results: &'a Results, condition: &Condition) -> Vec<(&'a CellResult, Bytes)> {
    condition
        .cells(results)
        .into_iter()
        .filter(|cell| cell.is_valid())
        .filter_map(|cell| Some((cell, cell.figures.bytes?)))
        .collect()
}

fn key() -> Markup {
    html! {
        @for (index, (kind, shade)) in KINDS.iter().enumerate() {
            @let x = LEFT + 92.0 * index as f64;
            rect class={ "key " (shade) } x=(px(x)) y="6" width="12" height="12" {}
            text class="tick" x=(px(x + 17.0)) y="16" { (kind) }
        }
    }
}

fn row(cell: &CellResult, bytes: &Bytes, x: &Axis, top: f64) -> Markup {
    let choice = text::choice(&Choice::of(&cell.cell));
    let handshake = bytes.down.handshake.median + bytes.up.handshake.median;
    // As in every table: added in another order, half a byte would be rounded otherwise.
    let rest = Metric::Bytes.of(cell).map_or(0.0, |figure| figure.median);
    let [rest, handshake] = [rest, handshake].map(|bytes| text::with_unit(Metric::Bytes, bytes));
    html! {
        g class=(class(cell.cell.transport)) {
            text class="name" x=(px(LEFT)) y=(px(top + 14.0)) {
                (choice)
                tspan class="tick" dx="6" { (rest) ", and " (handshake) " of handshake" }
            }
            (bar("down", &bytes.down, x, top + 19.0))
            (bar("up", &bytes.up, x, top + 20.0 + BAR))
        }
    }
}

fn bar(direction: &str, kinds: &ByteKinds, x: &Axis, top: f64) -> Markup {
    let mut end = 0.0;
    let parts = medians(kinds).map(|value| {
        let start = end;
        end += value;
        (x.at(start), x.at(end) - x.at(start), value)
    });
    html! {
        text class="tick" x=(px(LEFT - 6.0)) y=(px(top + 10.0)) text-anchor="end" { (direction) }
        @for ((kind, shade), (left, width, value)) in KINDS.iter().zip(parts) {
            @if value > 0.0 {
                rect class={ "part " (shade) } x=(px(left)) y=(px(top)) width=(format!("{width:.2}")) height=(px(BAR)) {
                    title { (direction) ", " (kind) ": " (text::with_unit(Metric::Bytes, value)) }
                }
            }
        }
    }
}

fn medians(kinds: &ByteKinds) -> [f64; 4] {
    [kinds.payload, kinds.framing, kinds.headers, kinds.handshake].map(|figure| figure.median)
}

fn total(kinds: &ByteKinds) -> f64 {
    medians(kinds).iter().sum()
}

fn description(cells: &[(&CellResult, Bytes)]) -> String {
    let one = |kinds: &ByteKinds| {
        let parts: Vec<String> = KINDS
            .iter()
            .zip(medians(kinds))
            .map(|((kind, _), value)| format!("{kind} {}", text::with_unit(Metric::Bytes, value)))
            .collect();
        parts.join(", ")
    };
    let lines: Vec<String> = cells
        .iter()
        .map(|(cell, bytes)| {
            let choice = text::choice(&Choice::of(&cell.cell));
            format!(
                "{choice}: down {}; up {}.",
                one(&bytes.down),
                one(&bytes.up)
            )
        })
        .collect();
    lines.join(" ")
}
