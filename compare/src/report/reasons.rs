//! What the reports say of a verdict: what to take, who came second, and which figures decided.

use crate::text;
use crate::verdict::{Answer, Contender, Decisive, Standing, Verdict};

/// How a verdict comes about.
pub const RULE: &str = "Each case takes the cells of one condition among those that fit. Which, is decided in this order: the most \
     transports that were measured; a delayed network, where one is wanted; the most of what the case weighs; the nearest to \
     what is best for it, by the factors between rates, subscribers and delays; the smallest payload; TLS before none. What is \
     weighed at rest comes from the nearest idle cell of the same transport. A transport that does not hold what must hold, by \
     its median, is out. The others have a cost: \
     each weighed figure, divided by the least of them, to the power of its share of the weights, multiplied; best at \
     everything is 1. The least cost is taken. A transport within 10 %, or whose cost by the smallest figures of its repeats \
     is not above the first one's by the largest, is level with it. Cells that are invalid count for nothing. A figure that \
     no transport has is left out; if that is more than half of the weights, there is no verdict.";

/// What a verdict recommends, in a word or two.
pub fn pick(verdict: &Verdict) -> String {
    match (&verdict.answer, &verdict.taken()[..]) {
        (Answer::Take { .. }, [others @ .., last]) if !others.is_empty() => {
            let others: Vec<String> = others.iter().map(text::choice).collect();
            format!("{} or {}", others.join(", "), text::choice(last))
        }
        (Answer::Take { .. }, [only]) => text::choice(only),
        (Answer::Nobody, _) => "none".to_owned(),
        (Answer::CannotSay(_) | Answer::Take { .. }, _) => "cannot say".to_owned(),
    }
}

/// Who came second and by how much, or what is missing.
pub fn lead(verdict: &Verdict) -> String {
    let unknown: Vec<String> = verdict
        .contenders
        .iter()
        .filter(|contender| matches!(contender.standing, Standing::Unknown(_)))
        .map(|contender| text::choice(&contender.choice))
        .collect();
    let missing: Vec<&str> = verdict
        .unmeasured
        .iter()
        .map(|metric| metric.name())
        .collect();
    let mut lead = lead_of_known(verdict);
    if !unknown.is_empty() && !matches!(verdict.answer, Answer::CannotSay(_)) {
        lead.push_str(&format!("; unknown: {}", unknown.join(", ")));
    }
    if !missing.is_empty() {
        lead.push_str(&format!("; not measured: {}", missing.join(", ")));
    }
    lead
}

fn lead_of_known(verdict: &Verdict) -> String {
    match &verdict.answer {
        Answer::Take {
            runner_up: Some(second),
        } => {
            let ratio = text::number(second.ratio);
            let standing = if second.level { ", which is level" } else { "" };
            format!(
                "{} at {ratio} × the cost{standing}",
                text::choice(&second.choice)
            )
        }
        Answer::Take { runner_up: None } => {
            format!("the others are out: {}", outs(&verdict.contenders))
        }
        Answer::Nobody => outs(&verdict.contenders),
        Answer::CannotSay(why) => why.clone(),
    }
}

/// Who is out, by reason.
fn outs(contenders: &[Contender]) -> String {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for contender in contenders {
        let Standing::Out(why) = &contender.standing else {
            continue;
        };
        let name = text::choice(&contender.choice);
        match reasons.iter_mut().find(|(reason, _)| reason == why) {
            Some((_, names)) => names.push(name),
            None => reasons.push((why, vec![name])),
        }
    }
    let said: Vec<String> = reasons
        .into_iter()
        .map(|(why, names)| format!("{why} ({})", names.join(", ")))
        .collect();
    said.join("; ")
}

/// The figures that decided: against the runner-up, or those of the first alone.
pub fn decided(verdict: &Verdict) -> Option<String> {
    let first = verdict.contenders.first()?;
    match &verdict.answer {
        Answer::Take {
            runner_up: Some(second),
        } => {
            let figures: Vec<String> = second.decided.iter().map(against).collect();
            Some(figures.join("; "))
        }
        Answer::Take { runner_up: None } => Some(deciding(first)),
        Answer::Nobody | Answer::CannotSay(_) => None,
    }
}

fn against(decisive: &Decisive) -> String {
    let metric = decisive.metric;
    let (first, second) = (
        text::with_unit(metric, decisive.first),
        text::with_unit(metric, decisive.second),
    );
    format!("{} {first} against {second}", metric.name())
}

/// The figures that decided about a contender.
pub fn deciding(contender: &Contender) -> String {
    let figures: Vec<String> = contender
        .figures
        .iter()
        .map(|(metric, figure)| {
            format!(
                "{} {}",
                metric.name(),
                text::with_unit(*metric, figure.median)
            )
        })
        .collect();
    figures.join(", ")
}
