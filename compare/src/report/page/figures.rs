//! The plots with their captions.

use maud::{Markup, html};

use crate::cell::{Network, Protocol};
use crate::condition::Condition;
use crate::metric::Metric;
use crate::report::plot::cost::{self, Varied};
use crate::report::plot::{Plot, bytes, percentiles, traffic};
use crate::results::Results;

/// Networks whose distributions are shown.
const NETWORKS_MAX: usize = 3;

/// Conditions with compressed WebSockets whose bytes are shown beside the reference's.
const COMPRESSED_MAX: usize = 1;

/// All plots for which something was measured.
pub fn figures(results: &Results) -> Markup {
    let Some(reference) = Condition::reference(results) else {
        return html! {};
    };
    let mut first: Vec<Plot> = traffic::plot(results, &reference, 510.0, 330.0)
        .into_iter()
        .collect();
    first.extend(distributions(results, &reference));
    let groups = [
        group(
            "latency",
            "Latency",
            "Against traffic, further down and to the left is better: a mark is a transport, its line reaches up to p99, dotted \
             lines join the protocols. By percentile: how long the fastest half, 90 %, 99 % … of the deliveries took at most; \
             a line ends at the last percentile of which there are enough messages.",
            first,
        ),
        group(
            "bytes",
            "What a message weighs on the wire",
            "Bytes below TLS for each delivered message, the same work to one scale; a handshake is spread over the \
             messages of its connection, so the longer a run, the less of it.",
            weights(results, &reference),
        ),
        group(
            "cost",
            "Cost against rate and subscribers",
            "Medians with the spread of the repeats. Both axes are logarithmic.",
            costs(results),
        ),
    ];
    html! { @for group in groups { (group) } }
}

fn group(id: &str, name: &str, caption: &str, plots: Vec<Plot>) -> Markup {
    html! {
        @if !plots.is_empty() {
            section id=(id) {
                h2 { (name) }
                p class="hint" { (caption) }
                div class="plots" {
                    @for (index, plot) in plots.iter().enumerate() {
                        figure {
                            figcaption { b { (plot.title) } small { (plot.condition) } }
                            (plot.inline(&format!("{id}-{index}")))
                        }
                    }
                }
            }
        }
    }
}

/// The reference condition's distributions, and those of the same work over other networks.
fn distributions(results: &Results, reference: &Condition) -> Vec<Plot> {
    let mut networks: Vec<Network> = vec![reference.network];
    for condition in Condition::all_in(results) {
        if !networks.contains(&condition.network) {
            networks.push(condition.network);
        }
    }
    let mut plots: Vec<Plot> = networks
        .into_iter()
        .filter_map(|network| percentiles::plot(results, &nearest(results, reference, network)?))
        .collect();
    plots.truncate(NETWORKS_MAX);
    plots
}

/// The condition over a network that is most like the reference.
fn nearest(results: &Results, reference: &Condition, network: Network) -> Option<Condition> {
    let rank = |condition: &Condition| {
        (
            4 - condition.transports_covered(results),
            condition.differences(reference),
        )
    };
    let mut conditions = Condition::all_in(results);
    conditions.retain(|condition| condition.network == network && condition.rate.per_s() > 0.0);
    conditions.into_iter().min_by_key(rank)
}

/// The reference's work over each protocol, to one scale; then what compression does, where that was measured.
fn weights(results: &Results, reference: &Condition) -> Vec<Plot> {
    let protocols = [Protocol::Http1, Protocol::Http1Tls, Protocol::Http2Tls];
    let same = protocols.map(|protocol| Condition {
        protocol,
        ..*reference
    });
    let longest = same
        .iter()
        .map(|condition| bytes::largest(results, condition))
        .fold(0.0, f64::max);
    let is_compressed = |condition: &Condition| {
        condition
            .cells(results)
            .iter()
            .any(|cell| cell.cell.deflate)
    };
    let compressed = Condition::all_in(results)
        .into_iter()
        .filter(|condition| !same.contains(condition) && is_compressed(condition))
        .take(COMPRESSED_MAX);
    let plots = same
        .iter()
        .filter_map(|condition| bytes::plot(results, condition, longest));
    let more = compressed.filter_map(|condition| {
        bytes::plot(results, &condition, bytes::largest(results, &condition))
    });
    plots.chain(more).collect()
}

fn costs(results: &Results) -> Vec<Plot> {
    let wanted = [
        (Metric::Cpu, Varied::Rate),
        (Metric::Cpu, Varied::Subscribers),
        (Metric::Memory, Varied::Rate),
        (Metric::Memory, Varied::Subscribers),
        (Metric::P99, Varied::Rate),
        (Metric::P99, Varied::Subscribers),
        (Metric::Bytes, Varied::Rate),
        (Metric::Bytes, Varied::Payload),
    ];
    wanted
        .into_iter()
        .filter_map(|(metric, varied)| cost::plot(results, metric, varied))
        .collect()
}
