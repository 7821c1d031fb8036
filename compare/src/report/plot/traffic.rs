//! Latency against traffic: one point for each transport, further down and to the left is better.

use maud::{Markup, html};

use super::axis::{Axis, px};
use super::label::{Area, beside};
use super::{Plot, class, mark, points, tick};
use crate::cell::Protocol;
use crate::condition::{Choice, Condition};
use crate::metric::Metric;
use crate::results::{CellResult, Results};
use crate::text;

const LEFT: f64 = 62.0;
const TOP: f64 = 34.0;

/// A name that is further away than this is tied to its mark by a line.
const LEADER_FROM: f64 = 14.0;

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
    let (right, bottom) = (width - 20.0, height - 46.0);
    let bytes = cells.iter().filter_map(|cell| median(Metric::Bytes, cell));
    let x = Axis::log(bytes, LEFT, right);
    let times = cells
        .iter()
        .flat_map(|cell| [median(Metric::P50, cell), median(Metric::P99, cell)])
        .flatten();
    let y = Axis::log(times, bottom, TOP);
    let room = Area {
        left: LEFT,
        top: TOP - 8.0,
        right: width - 2.0,
        bottom,
    };
    let placed: Vec<Point> = cells
        .iter()
        .filter_map(|&cell| place(cell, &x, &y))
        .collect();
    let drawing = html! {
        (y.upwards(LEFT, right, "latency: mark at p50, line up to p99", |value| tick(Metric::P50, value)))
        (x.across(TOP, bottom, "bytes per delivered message, both ways, after the handshake", |value| tick(Metric::Bytes, value)))
        (marks(&placed))
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
fn marks(placed: &[Point]) -> Markup {
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
                    (mark(choice.transport, point.x, point.y))
                }
            }
        }
    }
}

/// The names: those of the reference protocol first, because they must not be missing; for other protocols, the protocol.
fn names(placed: &[Point], reference: Protocol, room: &Area) -> Markup {
    let mut taken: Vec<Area> = placed
        .iter()
        .map(|point| Area::of_mark(point.x, point.y))
        .collect();
    for point in placed {
        taken.push(Area {
            left: point.x - 1.5,
            right: point.x + 1.5,
            top: point.tail_y,
            bottom: point.y,
        });
    }
    let mut names = Vec::new();
    for point in placed {
        let cell = &point.cell.cell;
        let (name, class) = match cell.protocol == reference {
            true => (text::choice(&Choice::of(cell)), "name"),
            false => (text::protocol_short(cell.protocol).to_owned(), "name minor"),
        };
        let free = beside(&name, point.x, point.y, &taken, room);
        // Better over something than not at all: the others are named by their protocol, and can be found without.
        let any = || beside(&name, point.x, point.y, &[], room).filter(|_| class == "name");
        if let Some((x, y)) = free.or_else(any) {
            let area = Area::of_text(&name, x, y);
            let end = area.nearest(point.x, point.y);
            names.push((cell.transport, class, name, (x, y), (point.x, point.y), end));
            taken.push(area);
        }
    }
    html! {
        @for (transport, weight, name, (x, y), mark, end) in &names {
            g class=(class(*transport)) {
                @if (end.0 - mark.0).hypot(end.1 - mark.1) > LEADER_FROM {
                    line class="leader" x1=(px(mark.0)) y1=(px(mark.1)) x2=(px(end.0)) y2=(px(end.1)) {}
                }
                text class=(weight) x=(px(*x)) y=(px(*y)) { (name) }
            }
        }
    }
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
