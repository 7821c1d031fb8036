//! What a client says, done. A command is answered at once, or becomes work that the connection waits for.

use std::pin::Pin;
use std::sync::Arc;

use crate::aside::aside;
use crate::attachments::Attachment;
use crate::auth::{Action, Credential};
use crate::broker::PublishError;
use crate::bus::{ChannelName, Draft, Payload, Start, UserName};
use crate::code::{Code, End};
use crate::gateway::Gateway;
use crate::history;
use crate::limits::Share;
use crate::problem::Problem;
use crate::protocol::command::{self, Command, Request};
use crate::protocol::event::{ChannelPosition, Event, Ref};
use crate::protocol::payload;
use crate::protocol::printed::Printed;
use crate::secret::Secret;
use crate::session::{Joined, Session};
use crate::transport::Client;

/// Work that a command started. The connection goes on delivering meanwhile, and reads the next command after it.
pub type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What a command came to.
#[derive(Debug)]
pub enum Done {
    /// An answer.
    Answer(Vec<u8>),
    /// An answer that may be long.
    Page(Printed),
    /// An answer, and the channels that are read no more: told after it.
    Refreshed(Vec<Vec<u8>>),
    /// A new token whose key had to be fetched, to look at now.
    Renewing(Option<Ref>, Secret),
    /// A subscription to take in, then to answer.
    Joined(Option<Ref>, ChannelName, Joined),
}

/// A command's first step.
pub enum Step {
    /// It is done.
    Done(Done),
    /// It takes a while.
    Work(Work),
    /// It came too often: the answer, and the way out for who keeps on.
    Limited(Vec<u8>, End),
}

/// Does a command, as far as that goes without waiting.
pub fn begin(
    gateway: &Arc<Gateway>,
    client: &mut Client,
    attachment: &Attachment,
    session: &mut Session,
    text: &str,
) -> Step {
    let (limits, user) = (gateway.command_limits(), client.principal.user.as_ref());
    let Request { reference, command } = aside(text.len(), || command::parse(text, limits, user));
    let counted = command.and_then(|command| count(gateway, client, command));
    let step = match counted {
        Ok(Command::Refresh { token }) => match late(gateway, reference.clone(), &token) {
            Some(work) => Ok(Step::Work(work)),
            None => {
                let reference = reference.clone();
                refresh(gateway, client, attachment, session, reference, token).map(Step::Done)
            }
        },
        Ok(command) => run(
            gateway,
            client,
            attachment,
            session,
            reference.clone(),
            command,
        ),
        Err(problem) => Err(problem),
    };
    step.unwrap_or_else(|problem| {
        let answer = refuse(gateway, reference, &problem);
        if problem.code == Code::RateLimited {
            return Step::Limited(answer, problem.into());
        }
        Step::Done(Done::Answer(answer))
    })
}

/// Work that keeps what its command takes of the room for all to its end.
pub fn holding(share: Option<Box<Share>>, work: Work) -> Work {
    let Some(share) = share else {
        return work;
    };
    Box::pin(async move {
        let done = work.await;
        drop(share);
        done
    })
}

/// Counts a command that costs as much as a request. It costs that whether it is refused later or not: a token may be a
/// guess. A publish has a rule of its own, and the others cost next to nothing.
fn count(gateway: &Gateway, client: &mut Client, command: Command) -> Result<Command, Problem> {
    let is_paid = match &command {
        Command::Subscribe { .. } => std::mem::take(&mut client.subscribe_is_paid),
        Command::History(_) | Command::Presence(_) | Command::Refresh { .. } => false,
        Command::Publish { .. }
        | Command::Send { .. }
        | Command::Unsubscribe { .. }
        | Command::Ping => true,
    };
    if !is_paid {
        gateway.limits.request(client.address)?;
    }
    Ok(command)
}

/// The answer to a frame that is no command.
pub fn refuse_binary(gateway: &Gateway) -> Vec<u8> {
    let problem = Problem::bad_request(
        "commands are text frames of JSON: send bytes as base64 in a publish command",
    );
    refuse(gateway, None, &problem)
}

/// Makes a subscription part of the session: the answer to `subscribe`.
pub fn take_in(
    gateway: &Gateway,
    session: &mut Session,
    reference: Option<Ref>,
    channel: &ChannelName,
    joined: Joined,
) -> Vec<u8> {
    match session.add(joined) {
        Ok(position) => Event::Subscribed {
            reference,
            at: ChannelPosition::new(channel, &position),
        }
        .to_json(),
        Err(full) => refuse(gateway, reference, &Problem::from(full).about(channel)),
    }
}

fn run(
    gateway: &Arc<Gateway>,
    client: &Client,
    attachment: &Attachment,
    session: &mut Session,
    reference: Option<Ref>,
    command: Command,
) -> Result<Step, Problem> {
    match command {
        // What is published now would go down with us, and who subscribes now would have to leave at once.
        Command::Subscribe { .. } | Command::Publish { .. } | Command::Send { .. }
            if gateway.is_draining() =>
        {
            Err(gateway.going_down().into())
        }
        Command::Subscribe { channel, start } => subscribe(
            gateway, client, attachment, session, reference, channel, start,
        ),
        Command::Unsubscribe { channel } => {
            if !session.unsubscribe(&channel) {
                return Err(
                    Problem::bad_request("you are not subscribed to this channel").about(&channel),
                );
            }
            Ok(answer(
                Event::Unsubscribed {
                    reference,
                    channel: channel.as_str(),
                    code: None,
                }
                .to_json(),
            ))
        }
        Command::Publish {
            channel,
            payload,
            key,
        } => publish(gateway, client, reference, channel, payload, key),
        Command::Send { to, payload, key } => send(gateway, client, reference, to, payload, key),
        Command::History(request) => {
            gateway.may_read(&client.principal, &request.channel)?;
            gateway.meet(client.principal.user.as_ref(), [&request.channel])?;
            let first_members = first_members("history", reference.as_ref());
            let page = history::read(
                &gateway.bus,
                &request,
                gateway.page_budget(request.limit),
                &first_members,
            );
            page.gaps
                .iter()
                .for_each(|gap| gateway.metrics.count_gap(gap.lost.reason));
            Ok(Step::Done(Done::Page(page.json)))
        }
        Command::Presence(request) => {
            let first_members = first_members("presence", reference.as_ref());
            gateway
                .show_presence(&client.principal, &request, &first_members)
                .map(answer)
        }
        // It changes who the client is, and is done by `refresh`.
        Command::Refresh { .. } => Err(Problem::bad_request("refresh stands for itself")),
        Command::Ping => Ok(answer(Event::Pong { reference }.to_json())),
    }
}

/// The wait for the key of a new token, if it is not here.
fn late(gateway: &Arc<Gateway>, reference: Option<Ref>, token: &Secret) -> Option<Work> {
    let credential = Credential::Bearer(token.clone());
    if !gateway.auth.lacks_key(&credential) {
        return None;
    }
    let (gateway, token) = (Arc::clone(gateway), token.clone());
    Some(Box::pin(async move {
        match gateway.auth.seek_key(&credential).await {
            Ok(()) => Done::Renewing(reference, token),
            Err(problem) => Done::Answer(refuse(&gateway, reference, &problem)),
        }
    }))
}

/// Goes on with a new token whose key had to be fetched: the answers, in order.
pub fn renew(
    gateway: &Gateway,
    client: &mut Client,
    attachment: &Attachment,
    session: &mut Session,
    reference: Option<Ref>,
    token: Secret,
) -> Done {
    let done = refresh(
        gateway,
        client,
        attachment,
        session,
        reference.clone(),
        token,
    );
    done.unwrap_or_else(|problem| Done::Answer(refuse(gateway, reference, &problem)))
}

/// Goes on with a new token, whose rights count from here on.
fn refresh(
    gateway: &Gateway,
    client: &mut Client,
    attachment: &Attachment,
    session: &mut Session,
    reference: Option<Ref>,
    token: Secret,
) -> Result<Done, Problem> {
    let principal = gateway.auth.refresh(&client.principal, token)?;
    attachment.renew(
        principal.token_id().cloned(),
        principal.ends_at_s(),
        principal.withdrawn().cloned(),
    );
    // As at the beginning: what was revoked before the renewal is seen here, what is revoked after it ends the attachment.
    if let Err(problem) = gateway.auth.check(&principal) {
        let old = &client.principal;
        attachment.renew(
            old.token_id().cloned(),
            old.ends_at_s(),
            old.withdrawn().cloned(),
        );
        return Err(problem);
    }
    client.principal = principal;
    session.show_info(client.principal.info());
    let expires_in_s = client.principal.expires_in_s();
    let refreshed = Event::Refreshed {
        reference,
        expires_in_s,
    };
    let mut told = vec![refreshed.to_json()];
    for channel in lost(client, session) {
        session.unsubscribe(&channel);
        let unsubscribed = Event::Unsubscribed {
            reference: None,
            channel: channel.as_str(),
            code: Some(Code::Forbidden.as_str()),
        };
        told.push(unsubscribed.to_json());
    }
    Ok(Done::Refreshed(told))
}

/// The channels that the client is subscribed to and may not be.
fn lost(client: &Client, session: &Session) -> Vec<ChannelName> {
    let channels = session.readers().map(|reader| &reader.name);
    channels
        .filter(|channel| client.principal.may(Action::Subscribe, channel).is_err())
        .cloned()
        .collect()
}

fn subscribe(
    gateway: &Arc<Gateway>,
    client: &Client,
    attachment: &Attachment,
    session: &Session,
    reference: Option<Ref>,
    channel: ChannelName,
    start: Start,
) -> Result<Step, Problem> {
    gateway.may_read(&client.principal, &channel)?;
    if session.is_subscribed(&channel) {
        return Err(
            Problem::bad_request("you are subscribed to this channel already").about(&channel),
        );
    }
    let channels_max = gateway.config().limits.channels_max;
    if session.len() >= channels_max {
        let message = format!(
            "a WebSocket has at most {channels_max} channels: unsubscribe from one, or open another"
        );
        return Err(Problem::new(Code::LimitReached, message).about(&channel));
    }
    gateway.meet(client.principal.user.as_ref(), [&channel])?;
    // A WebSocket without channels has taken nothing over yet.
    let older = if session.is_empty() {
        attachment.take_over()
    } else {
        None
    };
    let join = session.join(&channel, start);
    let gateway = Arc::clone(gateway);
    Ok(Step::Work(Box::pin(async move {
        if let Some(older) = older {
            older.gone().await;
        }
        match join.await {
            Ok(joined) => Done::Joined(reference, channel, joined),
            Err(failure) => Done::Answer(failed(&gateway, reference, failure, &channel)),
        }
    })))
}

fn publish(
    gateway: &Arc<Gateway>,
    client: &Client,
    reference: Option<Ref>,
    channel: ChannelName,
    payload: Payload,
    key: Option<String>,
) -> Result<Step, Problem> {
    client.principal.may(Action::Publish, &channel)?;
    let draft = draft(client, payload, key);
    let limited = |refused| Problem::from(refused).about(&channel);
    let user = client.principal.user.as_ref();
    let counted = gateway.limits.publish(user, client.address, 1);
    counted.map_err(limited)?;
    let gateway = Arc::clone(gateway);
    Ok(Step::Work(Box::pin(async move {
        Done::Answer(match gateway.bus.publish(&channel, &draft).await {
            Ok(position) => {
                gateway.metrics.published_websocket.inc();
                Event::Published {
                    reference,
                    at: ChannelPosition::new(&channel, &position),
                }
                .to_json()
            }
            Err(failure) => failed(&gateway, reference, failure, &channel),
        })
    })))
}

fn send(
    gateway: &Arc<Gateway>,
    client: &Client,
    reference: Option<Ref>,
    to: UserName,
    payload: Payload,
    key: Option<String>,
) -> Result<Step, Problem> {
    client.principal.may_send(&to)?;
    let draft = draft(client, payload, key);
    let user = client.principal.user.as_ref();
    gateway.limits.publish(user, client.address, 1)?;
    let gateway = Arc::clone(gateway);
    Ok(Step::Work(Box::pin(async move {
        Done::Answer(match gateway.send(&to, &draft).await {
            Ok(()) => {
                gateway.metrics.published_websocket.inc();
                let to = to.as_str();
                Event::Sent { reference, to }.to_json()
            }
            Err(failure) => refuse(&gateway, reference, &failure.into()),
        })
    })))
}

/// What a client wants to say, under its own name.
fn draft(client: &Client, payload: Payload, key: Option<String>) -> Draft {
    let identity = client.principal.identity();
    let key = aside(payload.text().len(), || {
        key.map(|key| payload::key(&identity, &key, &payload))
    });
    Draft {
        from: payload::sender(client.principal.user.as_ref()),
        payload,
        key,
    }
}

fn failed(
    gateway: &Gateway,
    reference: Option<Ref>,
    failure: PublishError,
    channel: &ChannelName,
) -> Vec<u8> {
    refuse(gateway, reference, &Problem::from(failure).about(channel))
}

fn refuse(gateway: &Gateway, reference: Option<Ref>, problem: &Problem) -> Vec<u8> {
    gateway.metrics.count_error(problem.code);
    Event::Error {
        reference,
        problem: problem.into(),
    }
    .to_json()
}

fn answer(json: Vec<u8>) -> Step {
    Step::Done(Done::Answer(json))
}

/// The members that the answer to a command begins with where the rest is printed elsewhere.
fn first_members(kind: &str, reference: Option<&Ref>) -> String {
    let reference = reference.and_then(|reference| serde_json::to_string(reference).ok());
    match reference {
        Some(reference) => format!(r#""type":"{kind}","ref":{reference},"#),
        None => format!(r#""type":"{kind}","#),
    }
}
