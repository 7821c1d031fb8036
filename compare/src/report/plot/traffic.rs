//! Latency against traffic: one point for each transport, further down and to the left is better.

use maud::{Markup, html};

use super::axis::{Axis, px};
use super::label::{Area, beside, width};
use super::{Plot, class, mark, points, tick};
use crate::cell::{Protocol, Transport};
use crate::condition::{Choice, Condition};
use crate::metric::Metric;
use crate::results::{CellResult, Results};
use crate::text;

const LEFT: f64 = 62.0;
const TOP: f64 = 34.0;

/// A name that is further away than this is tied to its mark by a line.
const LEADER_FROM: f64 = 14.0;

/// The room of the key above the plot, where there are several protocols, and where its text stands.
const KEY: f64 = 20.0;
const KEY_Y: f64 = 15.0;

/// Between two names in a line.
const NAME_GAP: f64 = 10.0;

/// A point: a cell with its two figures.
struct Point<'a> {
    cell: &'a CellResult,
    x: f64,
    y: f64,
    tail_y: f64,
}

/// The plot of the work of one condition over every protocol, in a size; absent if no valid cell has both figures.
pub fn plot(results: &Results, condition: &Condition, width: f64, height: f64) -> Option<Plot> {
    let cells = measured(results, condition);
    if cells.is_empty() {
        return None;
    }
    let protocols = protocols(&cells);
    let top = if protocols.len() > 1 { TOP + KEY } else { TOP };
    let (right, bottom) = (width - 20.0, height - 46.0);
    let bytes = cells.iter().filter_map(|cell| median(Metric::Bytes, cell));
    let x = Axis::log(bytes, LEFT, right);
    let times = cells
        .iter()
        .flat_map(|cell| [median(Metric::P50, cell), median(Metric::P99, cell)])
        .flatten();
    let y = Axis::log(times, bottom, top);
    let room = Area {
        left: LEFT,
        top: top - 8.0,
        right: width - 2.0,
        bottom,
    };
    let placed: Vec<Point> = cells
        .iter()
        .filter_map(|&cell| place(cell, &x, &y))
        .collect();
    let drawing = html! {
        (y.upwards(LEFT, right, "latency: mark at p50, line up to p99", |value| tick(Metric::P50, value)))
        (x.across(top, bottom, "bytes per delivered message, both ways, after the handshake", |value| tick(Metric::Bytes, value)))
        @if protocols.len() > 1 { (key(&protocols)) }
        (marks(&placed, &protocols))
        (names(&placed, condition.protocol, &room))
    };
    Some(Plot {
        title: "Latency against traffic".to_owned(),
        condition: text::work(condition),
        description: description(&cells),
        width,
        height,
        drawing,
    })
}

fn measured<'a>(results: &'a Results, condition: &Condition) -> Vec<&'a CellResult> {
    [
        condition.protocol,
        Protocol::Http1,
        Protocol::Http1Tls,
        Protocol::Http2Tls,
    ]
    .into_iter()
    .enumerate()
    .filter(|&(index, protocol)| index == 0 || protocol != condition.protocol)
    .flat_map(|(_, protocol)| {
        Condition {
            protocol,
            ..*condition
        }
        .cells(results)
    })
    .filter(|cell| cell.is_valid())
    .filter(|cell| median(Metric::Bytes, cell).is_some() && median(Metric::P50, cell).is_some())
    .collect()
}

/// The protocols of cells, in their order.
fn protocols(cells: &[&CellResult]) -> Vec<Protocol> {
    let mut protocols = Vec::new();
    for cell in cells {
        if !protocols.contains(&cell.cell.protocol) {
            protocols.push(cell.cell.protocol);
        }
    }
    protocols
}

/// Which mark is of which protocol.
fn key(protocols: &[Protocol]) -> Markup {
    let mut end = 10.0;
    let places = protocols.iter().map(|&protocol| {
        let x = end;
        end += width(text::protocol(protocol)) + 30.0;
        (protocol, x)
    });
    html! {
        g class="of-all" {
            @for (protocol, x) in places {
                (protocol_mark(protocols, protocol, Transport::WebSocket, x, KEY_Y - 4.0))
                text class="tick" x=(px(x + 10.0)) y=(px(KEY_Y)) { (text::protocol(protocol)) }
            }
        }
    }
}

/// A mark that also tells the protocols apart: filled for the first, open for the second, with a point for the third.
fn protocol_mark(
    protocols: &[Protocol],
    protocol: Protocol,
    transport: Transport,
    x: f64,
    y: f64,
) -> Markup {
    let index = protocols
        .iter()
        .position(|other| *other == protocol)
        .unwrap_or_default();
    html! {
        g class=[(index > 0).then_some("open")] {
            (mark(transport, x, y))
            @if index > 1 { circle class="point" cx=(px(x)) cy=(px(y)) r="1.5" {} }
        }
    }
}

fn median(metric: Metric, cell: &CellResult) -> Option<f64> {
    metric.of(cell).map(|figure| figure.median)
}

fn place<'a>(cell: &'a CellResult, x: &Axis, y: &Axis) -> Option<Point<'a>> {
    let p50 = median(Metric::P50, cell)?;
    Some(Point {
        cell,
        x: x.at(median(Metric::Bytes, cell)?),
        y: y.at(p50),
        tail_y: y.at(median(Metric::P99, cell).unwrap_or(p50)),
    })
}

/// Marks with their lines; those of one choice over several protocols are joined.
fn marks(placed: &[Point], protocols: &[Protocol]) -> Markup {
    let mut choices: Vec<Choice> = Vec::new();
    for point in placed {
        let choice = Choice::of(&point.cell.cell);
        if !choices.contains(&choice) {
            choices.push(choice);
        }
    }
    html! {
        @for choice in &choices {
            @let own: Vec<&Point> = placed.iter().filter(|point| Choice::of(&point.cell.cell) == *choice).collect();
            @let path: Vec<(f64, f64)> = own.iter().map(|point| (point.x, point.y)).collect();
            g class=(class(choice.transport)) {
                @if path.len() > 1 {
                    polyline class="join" points=(points(&path)) {}
                }
                @for point in own {
                    line class="spread" x1=(px(point.x)) x2=(px(point.x)) y1=(px(point.y)) y2=(px(point.tail_y)) {}
                    (protocol_mark(protocols, point.cell.cell.protocol, choice.transport, point.x, point.y))
                }
            }
        }
    }
}

/// The names of the reference protocol's marks; those of the others are joined to them.
fn names(placed: &[Point], reference: Protocol, room: &Area) -> Markup {
    let mut taken: Vec<Area> = placed
        .iter()
        .map(|point| Area::of_mark(point.x, point.y))
        .collect();
    for point in placed {
        taken.push(Area {
            left: point.x - 3.0,
            right: point.x + 3.0,
            top: point.tail_y,
            bottom: point.y,
        });
    }
    taken.extend(joins(placed));
    let mut names = Vec::new();
    for point in placed {
        let cell = &point.cell.cell;
        if cell.protocol != reference {
            continue;
        }
        let name = text::choice(&Choice::of(cell));
        let free = beside(&name, point.x, point.y, &taken, room);
        // Better over something than not at all.
        let any = || beside(&name, point.x, point.y, &[], room);
        if let Some((x, y)) = free.or_else(any) {
            let area = Area::of_text(&name, x, y);
            let end = area.nearest(point.x, point.y);
            names.push((cell.transport, name, (x, y), (point.x, point.y), end));
            taken.push(area.wider(NAME_GAP));
        }
    }
    html! {
        @for (transport, name, (x, y), mark, end) in &names {
            g class=(class(*transport)) {
                @if (end.0 - mark.0).hypot(end.1 - mark.1) > LEADER_FROM {
                    line class="leader" x1=(px(mark.0)) y1=(px(mark.1)) x2=(px(end.0)) y2=(px(end.1)) {}
                }
                text class="name" x=(px(*x)) y=(px(*y)) { (name) }
            }
        }
    }
}

/// What the lines between the protocols of a choice cover, piece by piece.
fn joins(placed: &[Point]) -> Vec<Area> {
    const PIECES: u8 = 24;
    let same =
        |one: &Point, other: &Point| Choice::of(&one.cell.cell) == Choice::of(&other.cell.cell);
    let mut pieces = Vec::new();
    for (index, point) in placed.iter().enumerate() {
        let Some(next) = placed[index + 1..].iter().find(|other| same(point, other)) else {
            continue;
        };
        pieces.extend((0..=PIECES).map(|piece| {
            let share = f64::from(piece) / f64::from(PIECES);
            let x = point.x + (next.x - point.x) * share;
            let y = point.y + (next.y - point.y) * share;
            Area {
                left: x - 4.0,
                right: x + 4.0,
                top: y - 1.0,
                bottom: y + 1.0,
            }
        }));
    }
    pieces
}

fn description(cells: &[&CellResult]) -> String {
    let lines: Vec<String> = cells
        .iter()
        .map(|cell| {
            let choice = text::choice(&Choice::of(&cell.cell));
            let protocol = text::protocol(cell.cell.protocol);
            let figures: Vec<String> = [Metric::P50, Metric::P99, Metric::Bytes]
                .into_iter()
                .filter_map(|metric| {
                    Some(format!(
                        "{} {}",
                        metric.name(),
                        text::with_unit(metric, median(metric, cell)?)
                    ))
                })
                .collect();
            format!("{choice} over {protocol}: {}.", figures.join(", "))
        })
        .collect();
    lines.join(" ")
}
