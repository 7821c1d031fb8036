//! How latency is distributed: for each share of the deliveries, how long they took at most.

use maud::html;

use super::axis::{Axis, px};
use super::{Plot, class, label, points, tick};
use crate::condition::{Choice, Condition};
use crate::metric::Metric;
use crate::results::{CellResult, LatencyBucket, Results};
use crate::text;

const WIDTH: f64 = 510.0;
const HEIGHT: f64 = 330.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 372.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 284.0;

/// The plot of one condition; absent if no valid cell has a distribution.
pub fn plot(results: &Results, condition: &Condition) -> Option<Plot> {
    let cells: Vec<&CellResult> = condition
        .cells(results)
        .into_iter()
        .filter(|cell| cell.is_valid() && deliveries(&cell.latencies) > 0)
        .collect();
    let most = cells.iter().map(|cell| deliveries(&cell.latencies)).max()?;
    let x = Axis::tail(most, LEFT, RIGHT);
    let times = cells
        .iter()
        .flat_map(|cell| &cell.latencies)
        .map(|bucket| bucket.up_to_ms);
    let y = Axis::log(times, BOTTOM, TOP);
    let curves: Vec<Vec<(f64, f64)>> = cells
        .iter()
        .map(|cell| curve(&cell.latencies, &x, &y))
        .collect();
    let ends: Vec<(f64, f64)> = curves
        .iter()
        .filter_map(|curve| curve.last().copied())
        .collect();
    let heights: Vec<f64> = ends.iter().map(|end| end.1).collect();
    let names = label::apart(&heights, 14.0, TOP, BOTTOM);
    let drawing = html! {
        (y.upwards(LEFT, RIGHT, "latency", |value| tick(Metric::P50, value)))
        (x.across(TOP, BOTTOM, "percentile of deliveries", percentile))
        @for ((cell, curve), (end, name_y)) in cells.iter().zip(&curves).zip(ends.iter().zip(&names)) {
            g class=(class(cell.cell.transport)) {
                polyline class="line" points=(points(curve)) {}
                line class="leader" x1=(px(end.0)) y1=(px(end.1)) x2=(px(RIGHT + 8.0)) y2=(px(*name_y)) {}
                text class="name" x=(px(RIGHT + 11.0)) y=(px(name_y + 4.0)) { (text::choice(&Choice::of(&cell.cell))) }
            }
        }
    };
    Some(Plot {
        title: format!("Latency over {}", text::network(&condition.network)),
        condition: text::condition(condition),
        description: description(&cells),
        width: WIDTH,
        height: HEIGHT,
        drawing,
    })
}

/// The steps of a distribution. It ends at the last share that the number of deliveries can tell apart.
fn curve(buckets: &[LatencyBucket], x: &Axis, y: &Axis) -> Vec<(f64, f64)> {
    let whole = deliveries(buckets) as f64;
    let last = 1.0 - 1.0 / whole.max(2.0);
    let mut below = 0;
    let mut curve = Vec::with_capacity(buckets.len() * 2);
    for bucket in buckets {
        let height = y.at(bucket.up_to_ms);
        curve.push((x.at((below as f64 / whole).min(last)), height));
        below += bucket.count;
        curve.push((x.at((below as f64 / whole).min(last)), height));
    }
    curve.dedup();
    curve
}

fn deliveries(buckets: &[LatencyBucket]) -> u64 {
    buckets.iter().map(|bucket| bucket.count).sum()
}

fn percentile(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

fn description(cells: &[&CellResult]) -> String {
    let lines: Vec<String> = cells
        .iter()
        .map(|cell| {
            let metrics = [Metric::P50, Metric::P99, Metric::P999];
            let figures: Vec<String> = metrics
                .into_iter()
                .filter_map(|metric| {
                    Some(format!(
                        "{} {}",
                        metric.name(),
                        text::with_unit(metric, metric.of(cell)?.median)
                    ))
                })
                .collect();
            format!(
                "{}: {}.",
                text::choice(&Choice::of(&cell.cell)),
                figures.join(", ")
            )
        })
        .collect();
    lines.join(" ")
}
