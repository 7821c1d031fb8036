//! How latency is distributed: for each share of the deliveries, how long they took at most.

use maud::html;

use super::axis::{Axis, px};
use super::{Plot, class, label, points, tick};
use crate::condition::{Choice, Condition};
use crate::measure::BUCKETS_PER_DECADE;
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
    let lasts = cells.iter().map(|cell| last(cell));
    let x = Axis::tail(lasts.max_by(f64::total_cmp)?, LEFT, RIGHT);
    let shares: Vec<Vec<(f64, f64)>> = cells.iter().map(|cell| curve(cell)).collect();
    let times = shares.iter().flatten().map(|(_, time_ms)| *time_ms);
    let y = Axis::log(times, BOTTOM, TOP);
    let place = |&(share, time_ms): &(f64, f64)| (x.at(share), y.at(time_ms));
    let curves: Vec<Vec<(f64, f64)>> = shares
        .iter()
        .map(|curve| curve.iter().map(place).collect())
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

/// The last percentile that is told of a cell, as a share: of more there are too few messages.
fn last(cell: &CellResult) -> f64 {
    let told = [
        (Metric::P999, 0.999),
        (Metric::P99, 0.99),
        (Metric::P90, 0.9),
    ];
    told.into_iter()
        .find(|(metric, _)| metric.of(cell).is_some())
        .map_or(0.5, |(_, share)| share)
}

/// A distribution as shares of the deliveries with their times, in milliseconds. Within a bucket deliveries are taken to lie
/// evenly from its lower end to its upper, and none lies above the slowest. It ends at the last percentile that is told.
fn curve(cell: &CellResult) -> Vec<(f64, f64)> {
    let whole = deliveries(&cell.latencies) as f64;
    let last = last(cell);
    let mut curve = Vec::with_capacity(cell.latencies.len() * 2);
    let mut below = 0;
    for ([lower, upper], count) in ranges(cell) {
        let [from, to] = [below, below + count].map(|below| below as f64 / whole);
        below += count;
        curve.push((from, lower));
        if to >= last {
            let part = ((last - from) / (to - from)).clamp(0.0, 1.0);
            curve.push((last, lower + (upper - lower) * part));
            break;
        }
        curve.push((to, upper));
    }
    curve.dedup();
    curve
}

/// Between which times how many deliveries lie, in milliseconds.
fn ranges(cell: &CellResult) -> Vec<([f64; 2], u64)> {
    /// How much larger the upper end of a bucket is than its lower.
    fn width() -> f64 {
        10f64.powf(1.0 / BUCKETS_PER_DECADE)
    }
    let slowest = cell.figures.latency_max_ms;
    let slowest = slowest.map_or(f64::INFINITY, |figure| figure.max);
    let buckets = cell.latencies.iter();
    buckets
        .map(|bucket| {
            let upper = bucket.up_to_ms.min(slowest);
            let lower = (bucket.up_to_ms / width()).min(upper);
            ([lower, upper], bucket.count)
        })
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Transport;
    use crate::sample::{self, cell, exactly};

    #[test]
    fn a_delivery_is_drawn_between_the_ends_of_its_bucket_and_never_above_the_slowest() {
        let mut cell = cell(Transport::Sse);
        cell.latencies = vec![LatencyBucket {
            up_to_ms: 11.2,
            count: 1000,
        }];
        cell.figures.latency_max_ms = exactly(10.5);
        let [(ends, count)] = ranges(&cell)[..] else {
            panic!("one bucket");
        };
        assert_eq!((ends[1], count), (10.5, 1000));
        assert!((ends[0] - 9.98).abs() < 0.01, "{ends:?}");
        let drawn = curve(&cell);
        assert!(
            drawn[0].1 < drawn[1].1,
            "it rises within a bucket: {drawn:?}"
        );
    }

    #[test]
    fn a_line_ends_at_the_last_percentile_that_is_told() {
        let mut cell = cell(Transport::Sse);
        let end = |cell: &CellResult| curve(cell).last().copied().expect("a line");
        assert_eq!(end(&cell).0, 0.999);
        cell.figures.latency_p999_ms = None;
        let (share, time_ms) = end(&cell);
        assert_eq!(share, 0.99);
        // All but the slowest hundredth took up to 0.14 ms.
        assert!((0.13..=0.14).contains(&time_ms), "{time_ms}");
        cell.figures.latency_p99_ms = None;
        assert_eq!(end(&cell).0, 0.9);
        let plot = plot(
            &sample::results(vec![cell.clone()]),
            &Condition::of(&cell.cell),
        );
        let drawn = plot.expect("a plot").standalone();
        assert!(drawn.contains("90 %") && !drawn.contains("99 %"), "{drawn}");
    }
}
