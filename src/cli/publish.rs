//! `everyway publish`: one message to one or more channels.

use std::io::Read;

use anyhow::Context;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use http::Method;

use super::gateway::{GatewayArgs, advise};

#[derive(Debug, Args)]
pub(super) struct PublishArgs {
    /// The channel. Several are separated by spaces or commas.
    #[arg(value_delimiter = ',', required = true)]
    channels: Vec<String>,
    /// The message; `-` reads it from standard input.
    message: String,
    /// What the message is.
    #[arg(long = "as", value_enum, default_value_t = Kind::Auto)]
    kind: Kind,
    #[command(flatten)]
    gateway: GatewayArgs,
    /// A name of your own; for gateways in open mode.
    #[arg(long)]
    user: Option<String>,
    /// Makes a repeat of this publish return the first answer.
    #[arg(long)]
    key: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// JSON if it is JSON, else text.
    Auto,
    Json,
    Text,
    Bytes,
}

pub(super) fn run(args: &PublishArgs) -> anyhow::Result<()> {
    let body = read(&args.message)?;
    let content_type = content_type(args.kind, &body);
    let mut query: Vec<(&str, &str)> = args
        .channels
        .iter()
        .map(|channel| ("channel", channel.as_str()))
        .collect();
    query.extend(args.user.iter().map(|user| ("user", user.as_str())));
    let mut headers = vec![("content-type", content_type)];
    headers.extend(args.key.iter().map(|key| ("idempotency-key", key.as_str())));
    let endpoint = args.gateway.endpoint()?;
    let endpoint = endpoint.with_token(args.gateway.credentials()?.read()?);
    let target = endpoint.target("/v1/publish", &query);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let publishing = endpoint.fetch(Method::POST, &target, &headers, Bytes::from(body));
    let answer = runtime.block_on(publishing).map_err(advise)?;
    println!("{}", String::from_utf8_lossy(&answer));
    Ok(())
}

fn read(message: &str) -> anyhow::Result<Vec<u8>> {
    if message != "-" {
        return Ok(message.as_bytes().to_vec());
    }
    let mut body = Vec::new();
    std::io::stdin()
        .read_to_end(&mut body)
        .context("cannot read standard input")?;
    Ok(body)
}

fn content_type(kind: Kind, body: &[u8]) -> &'static str {
    let is_json = || serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
    match kind {
        Kind::Json => "application/json",
        Kind::Text => "text/plain; charset=utf-8",
        Kind::Bytes => "application/octet-stream",
        Kind::Auto if is_json() => "application/json",
        Kind::Auto => "text/plain; charset=utf-8",
    }
}
