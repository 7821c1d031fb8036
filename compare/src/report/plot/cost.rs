//! What a figure does when one thing is varied: a line for each transport.

use maud::{Markup, html};

use super::axis::{Axis, px};
use super::{Plot, class, label, mark, points, tick};
use crate::cell::Rate;
use crate::condition::{Choice, Condition};
use crate::metric::Metric;
use crate::results::{Figure, Results};
use crate::text;

const WIDTH: f64 = 510.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 372.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 254.0;

/// What is varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Varied {
    /// Messages in a second, evenly.
    Rate,
    /// Clients that receive the channel.
    Subscribers,
    /// Bytes of a message.
    Payload,
}

/// A line: a choice with its points, left to right.
struct Line {
    choice: Choice,
    points: Vec<(f64, Figure)>,
}

/// The plot of a metric over what is varied, where most of that was measured; absent if fewer than two
/// transports were measured twice.
pub fn plot(results: &Results, metric: Metric, varied: Varied) -> Option<Plot> {
    let (condition, lines) = widest(results, metric, varied)?;
    let all = || lines.iter().flat_map(|line| &line.points);
    let x = Axis::log(all().map(|(value, _)| *value), LEFT, RIGHT - 8.0);
    // The spread has a place, too.
    let figures = all().flat_map(|(_, figure)| [figure.min, figure.median, figure.max]);
    let y = Axis::log(figures, BOTTOM, TOP);
    let ends: Vec<(f64, f64)> = lines
        .iter()
        .filter_map(|line| line.points.last())
        .map(|(value, figure)| (x.at(*value), y.at(figure.median)))
        .collect();
    let heights: Vec<f64> = ends.iter().map(|end| end.1).collect();
    let names = label::apart(&heights, 14.0, TOP, BOTTOM);
    let drawing = html! {
        (y.upwards(LEFT, RIGHT, metric.name(), |value| tick(metric, value)))
        (x.across(TOP, BOTTOM, varied.name(), |value| varied.tick(value)))
        @for (line, (end, name_y)) in lines.iter().zip(ends.iter().zip(&names)) {
            g class=(class(line.choice.transport)) {
                (drawn(line, &x, &y))
                line class="leader" x1=(px(end.0)) y1=(px(end.1)) x2=(px(RIGHT + 8.0)) y2=(px(*name_y)) {}
                text class="name" x=(px(RIGHT + 11.0)) y=(px(name_y + 4.0)) { (text::choice(&line.choice)) }
            }
        }
    };
    Some(Plot {
        title: format!("{} by {}", capitalised(metric.name()), varied.name()),
        condition: varied.fixed(&condition),
        description: description(metric, varied, &lines),
        width: WIDTH,
        height: HEIGHT,
        drawing,
    })
}

/// Of the conditions that are the same but for what is varied, the one with the most points; that of the reference if it
/// is among them.
fn widest(results: &Results, metric: Metric, varied: Varied) -> Option<(Condition, Vec<Line>)> {
    let mut bases: Vec<Condition> = Condition::reference(results).into_iter().collect();
    bases.extend(Condition::all_in(results));
    let mut best: Option<(usize, Condition, Vec<Line>)> = None;
    for base in bases {
        let lines = lines(results, metric, varied, &base);
        let points = lines.iter().map(|line| line.points.len()).sum();
        if best.as_ref().is_none_or(|(most, ..)| points > *most) {
            best = Some((points, base, lines));
        }
    }
    let (_, condition, lines) = best?;
    let first = lines.first()?.choice.transport;
    let compares = lines.iter().any(|line| line.choice.transport != first);
    compares.then_some((condition, lines))
}

/// The lines over what is varied from a base; a single point is none.
fn lines(results: &Results, metric: Metric, varied: Varied, base: &Condition) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for result in results.cells.iter().filter(|result| result.is_valid()) {
        let condition = Condition::of(&result.cell);
        let (Some(value), Some(figure)) = (varied.value(&condition), metric.of(result)) else {
            continue;
        };
        if !varied.is_all_that_differs(base, &condition) {
            continue;
        }
        let choice = Choice::of(&result.cell);
        match lines.iter_mut().find(|line| line.choice == choice) {
            Some(line) => line.points.push((value, figure)),
            None => lines.push(Line {
                choice,
                points: vec![(value, figure)],
            }),
        }
    }
    lines.retain(|line| line.points.len() > 1);
    for line in &mut lines {
        line.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    lines.sort_by(|a, b| a.choice.order(&b.choice));
    lines
}

impl Varied {
    fn value(self, condition: &Condition) -> Option<f64> {
        match (self, condition.rate) {
            (Self::Rate, Rate::Steady { per_s }) => Some(per_s),
            (Self::Rate, Rate::Idle | Rate::Bursts { .. }) => None,
            (Self::Subscribers, _) => Some(condition.subscribers as f64),
            (Self::Payload, _) => Some(condition.payload_bytes as f64),
        }
    }

    fn is_all_that_differs(self, base: &Condition, other: &Condition) -> bool {
        let mut like_base = *other;
        match self {
            Self::Rate => like_base.rate = base.rate,
            Self::Subscribers => like_base.subscribers = base.subscribers,
            Self::Payload => like_base.payload_bytes = base.payload_bytes,
        }
        like_base == *base
    }

    fn name(self) -> &'static str {
        match self {
            Self::Rate => "messages published per second",
            Self::Subscribers => "subscribers",
            Self::Payload => "payload",
        }
    }

    fn tick(self, value: f64) -> String {
        match self {
            Self::Rate => tick(Metric::Achieved, value),
            Self::Subscribers => text::count(value.round() as u64),
            Self::Payload => tick(Metric::Bytes, value),
        }
    }

    /// The condition without what is varied.
    fn fixed(self, condition: &Condition) -> String {
        let parts = [
            (true, text::protocol(condition.protocol).to_owned()),
            (self != Self::Rate, text::rate(&condition.rate)),
            (
                self != Self::Payload,
                text::payload(condition.payload_bytes),
            ),
            (
                self != Self::Subscribers,
                text::subscribers(condition.subscribers),
            ),
            (true, text::network(&condition.network)),
        ];
        let said: Vec<String> = parts
            .into_iter()
            .filter(|(is_fixed, _)| *is_fixed)
            .map(|(_, text)| text)
            .collect();
        said.join(", ")
    }
}

fn drawn(line: &Line, x: &Axis, y: &Axis) -> Markup {
    let path: Vec<(f64, f64)> = line
        .points
        .iter()
        .map(|(value, figure)| (x.at(*value), y.at(figure.median)))
        .collect();
    html! {
        polyline class="line" points=(points(&path)) {}
        @for ((value, figure), (left, top)) in line.points.iter().zip(&path) {
            @let across = px(x.at(*value));
            line class="spread" x1=(across) x2=(across) y1=(px(y.at(figure.min))) y2=(px(y.at(figure.max))) {}
            (mark(line.choice.transport, *left, *top))
        }
    }
}

fn description(metric: Metric, varied: Varied, lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let points: Vec<String> = line
            .points
            .iter()
            .map(|(value, figure)| {
                format!(
                    "{} at {}",
                    text::with_unit(metric, figure.median),
                    varied.tick(*value)
                )
            })
            .collect();
        text.push_str(&format!(
            "{}: {}. ",
            text::choice(&line.choice),
            points.join(", ")
        ));
    }
    text
}

/// As a title begins. A percentile keeps its small letter.
fn capitalised(text: &str) -> String {
    if text.starts_with("p9") || text.starts_with("p5") {
        return text.to_owned();
    }
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
