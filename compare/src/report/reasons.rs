//! What the reports say of a verdict: what to take, who came second, and which figures decided.

use crate::condition::Condition;
use crate::level::Level;
use crate::metric::Metric;
use crate::text;
use crate::verdict::{Answer, Contender, Decisive, Standing, Verdict};

/// How a verdict comes about.
pub const RULE: &str = "Each case takes the cells of one condition among those that fit. Which, is decided in this order: the most \
     transports that were measured; a delayed network, where one is wanted; the most of what the case weighs; the nearest to \
     what is best for it, by the factors between rates, subscribers and delays; the smallest payload; TLS before none. What is \
     weighed at rest comes from the nearest idle cell of the same transport over the same protocol. A transport that does not hold what must hold, by \
     its median, is out. The others have a cost: \
     each weighed figure, divided by the least of them, to the power of its share of the weights, multiplied; best at \
     everything is 1. The least cost is taken. A transport within 10 % is level with it; one that is further off, but \
     whose cost by the smallest figures of its repeats is not above the first one's by the largest, is not told apart from it in \
     this run. Cells that are invalid count for nothing. A figure that \
     no transport has is left out; if that is more than half of the weights, there is no verdict.";

/// What a cost is, for whoever reads the first of them.
pub const COST: &str = "A transport's cost: each figure that the case weighs, divided by the least of them, to the power of its share of \
     the weights, multiplied; who is best at everything has 1.";

/// The cells that spoke for a case, the idle ones apart: `HTTP/1.1, 10/s, 32 B, 50 subscribers, 50 ms each way; at rest
/// HTTP/1.1, idle, 50 subscribers, loopback`.
pub fn spoke(verdict: &Verdict) -> Option<String> {
    let spoke = text::condition(verdict.condition.as_ref()?);
    let idle: Vec<String> = verdict.at_rest.iter().map(text::condition).collect();
    Some(match idle.is_empty() {
        true => spoke,
        false => format!("{spoke}; at rest {}", text::list(&idle, "and")),
    })
}

/// The cells that spoke for a case, and what would be best for it, where that is something else.
pub fn cells(verdict: &Verdict) -> Option<String> {
    let condition: &Condition = verdict.condition.as_ref()?;
    let spoke = spoke(verdict)?;
    let setting = &verdict.case.setting;
    let is_best = (condition.rate.per_s(), condition.subscribers)
        == (setting.per_s_near, setting.subscribers_near);
    let best = match is_best {
        true => String::new(),
        false => format!("; best would be {}", setting.best_in_words()),
    };
    Some(format!("{spoke}{best}"))
}

/// What a verdict recommends, in a word or two.
pub fn pick(verdict: &Verdict) -> String {
    match (&verdict.answer, &verdict.taken()[..]) {
        (Answer::Take { .. }, taken) if !taken.is_empty() => {
            let names: Vec<String> = taken.iter().map(text::choice).collect();
            text::list(&names, "or")
        }
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
            let standing = match second.level {
                Level::Close => ", which is level",
                Level::Blurred => ", not told apart in this run",
                Level::Apart => "",
            };
            let blurred: Vec<String> = verdict.blurred().iter().map(text::choice).collect();
            let others = match (blurred.is_empty(), second.level) {
                (true, _) => String::new(),
                (false, Level::Blurred) => format!(", nor is {}", text::list(&blurred, "or")),
                (false, _) => format!(
                    "; not told apart in this run: {}",
                    text::list(&blurred, "and")
                ),
            };
            format!(
                "{} at {ratio} × the cost{standing}{others}",
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
    let first = with_posts(metric, decisive.first, decisive.posts.0);
    let second = with_posts(metric, decisive.second, decisive.posts.1);
    format!("{} {first} against {second}", metric.name())
}

/// A value, and apart from it what nobody measured: `0.0020 + 0.1 to send`.
fn with_posts(metric: Metric, value: f64, posts: f64) -> String {
    let value = text::with_unit(metric, value);
    if posts > 0.0 {
        format!("{value} + {posts} to send")
    } else {
        value
    }
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
                with_posts(*metric, figure.median, contender.posts_beside(*metric))
            )
        })
        .collect();
    figures.join(", ")
}
