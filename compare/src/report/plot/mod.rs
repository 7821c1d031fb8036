//! The plots, as SVG. Each names what it shows next to where it is shown, has a title and a description for who cannot see
//! it, and takes its colours from `plot.css`, one for each transport everywhere.

mod axis;
pub mod bytes;
pub mod cost;
mod label;
pub mod percentiles;
pub mod traffic;

use maud::{Markup, PreEscaped, html};

use crate::cell::Transport;
use crate::metric::Metric;
use crate::text;

/// The colours and the type of plots.
pub const STYLE: &str = include_str!("plot.css");

/// A plot with what it says to who cannot see it.
#[derive(Debug, Clone)]
pub struct Plot {
    /// What it shows, in a line.
    pub title: String,
    /// Under which condition.
    pub condition: String,
    /// What can be read from it, in words and figures.
    pub description: String,
    width: f64,
    height: f64,
    drawing: Markup,
}

impl Plot {
    /// As part of a page, where its title stands beside it; `id` is its own there.
    pub fn inline(&self, id: &str) -> Markup {
        self.svg(id, self.height, &self.drawing)
    }

    /// As a file of its own, on paper of its own, with its title.
    pub fn standalone(&self) -> String {
        let height = self.height + HEADLINE;
        let drawing = html! {
            style { (PreEscaped(STYLE)) }
            rect class="paper" width=(axis::px(self.width)) height=(axis::px(height)) rx="8" {}
            text class="headline" x="16" y="26" {
                (self.title)
                tspan class="tick" dx="8" { (self.condition) }
            }
            g transform={ "translate(0 " (axis::px(HEADLINE)) ")" } { (self.drawing) }
        };
        format!("{}\n", self.svg("plot", height, &drawing).into_string())
    }

    fn svg(&self, id: &str, height: f64, drawing: &Markup) -> Markup {
        let (width, height) = (axis::px(self.width), axis::px(height));
        html! {
            svg class="plot" xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (width) " " (height) }
                width=(width) height=(height)
                role="img" aria-labelledby={ (id) "-title " (id) "-text" } {
                title id={ (id) "-title" } { (self.title) ": " (self.condition) }
                desc id={ (id) "-text" } { (self.description) }
                (drawing)
            }
        }
    }
}

/// Room for the title of a plot that stands alone.
const HEADLINE: f64 = 30.0;

/// The class that gives a transport its colour.
pub fn class(transport: Transport) -> &'static str {
    match transport {
        Transport::WebSocket => "is-websocket",
        Transport::Sse => "is-sse",
        Transport::LongPoll => "is-longpoll",
        Transport::Poll => "is-poll",
    }
}

/// A mark whose shape tells the transports apart without colours.
fn mark(transport: Transport, x: f64, y: f64) -> Markup {
    let corners = |points: &[(f64, f64)]| {
        let corners: Vec<String> = points
            .iter()
            .map(|(dx, dy)| format!("{},{}", axis::px(x + dx), axis::px(y + dy)))
            .collect();
        html! { polygon class="mark" points=(corners.join(" ")) {} }
    };
    match transport {
        Transport::WebSocket => {
            html! { circle class="mark" cx=(axis::px(x)) cy=(axis::px(y)) r="4.5" {} }
        }
        Transport::Sse => corners(&[(-4.0, -4.0), (4.0, -4.0), (4.0, 4.0), (-4.0, 4.0)]),
        Transport::LongPoll => corners(&[(0.0, -5.0), (5.0, 4.0), (-5.0, 4.0)]),
        Transport::Poll => corners(&[(0.0, -5.5), (5.5, 0.0), (0.0, 5.5), (-5.5, 0.0)]),
    }
}

/// A value beside an axis, without digits that say nothing.
fn tick(metric: Metric, value: f64) -> String {
    let text = text::with_unit(metric, value);
    let end = text.find([' ', '/']).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    };
    format!("{number}{unit}")
}

/// Points as the `points` of a line.
fn points(points: &[(f64, f64)]) -> String {
    let points: Vec<String> = points
        .iter()
        .map(|&(x, y)| format!("{},{}", axis::px(x), axis::px(y)))
        .collect();
    points.join(" ")
}
