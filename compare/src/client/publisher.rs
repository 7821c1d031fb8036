//! Who publishes: a WebSocket over HTTP/1.1, which need not wait for an answer before it sends the next.
//!
//! It goes to the gateway by the straight way, whatever the subscribers' network is: it stands for a backend next to it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::websocket::{Assembly, Opcode, client_frame, take_frame};
use super::{Connection, Io, Target};
use crate::cell::Protocol;
use crate::meter::Meter;

/// How long the gateway may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// A publisher of one channel.
pub struct Publisher {
    writer: Writer,
    channel: String,
    sent: u64,
    heard: watch::Receiver<Heard>,
    reading: JoinHandle<()>,
}

/// What the gateway answered so far.
#[derive(Debug, Clone, Default)]
struct Heard {
    published: u64,
    failure: Option<String>,
}

/// Shared with the reader, which answers pings.
type Writer = Arc<tokio::sync::Mutex<WriteHalf<Box<dyn Io>>>>;

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "type")]
    kind: String,
}

impl Publisher {
    /// Connects.
    pub async fn connect(target: &Target, channel: &str) -> Result<Self> {
        let mut target = target.clone();
        if target.protocol == Protocol::Http2Tls {
            target.protocol = Protocol::Http1Tls;
        }
        let connection = target.connect(&Arc::new(Meter::default())).await?;
        let Connection::Http1(connection) = connection else {
            bail!("a publisher speaks HTTP/1.1");
        };
        let stream = connection
            .upgrade("/v1/ws", false)
            .await
            .context("the publisher")?;
        let (io, received) = stream.into_parts();
        let (reader, writer) = split(io);
        let writer: Writer = Arc::new(tokio::sync::Mutex::new(writer));
        let (told, heard) = watch::channel(Heard::default());
        let reading = tokio::spawn({
            let writer = Arc::clone(&writer);
            async move {
                let error = hear(reader, received, &writer, &told).await.err();
                told.send_modify(|heard| heard.failure = error.map(|error| format!("{error:#}")));
            }
        });
        Ok(Self {
            writer,
            channel: channel.to_owned(),
            sent: 0,
            heard,
            reading,
        })
    }

    /// Publishes JSON, without waiting for the answer.
    pub async fn send(&mut self, payload: &[u8]) -> Result<()> {
        if let Some(failure) = &self.heard.borrow().failure {
            bail!("publishing failed: {failure}");
        }
        let mut command = format!(
            r#"{{"action":"publish","channel":"{}","data":"#,
            self.channel
        )
        .into_bytes();
        command.extend_from_slice(payload);
        command.push(b'}');
        let mut writer = self.writer.lock().await;
        writer
            .write_all(&client_frame(Opcode::Text, &command))
            .await?;
        writer.flush().await?;
        self.sent += 1;
        Ok(())
    }

    /// Waits until all that was sent is taken.
    pub async fn all_taken(&mut self) -> Result<()> {
        let count = self.sent;
        let enough = |heard: &Heard| heard.published >= count || heard.failure.is_some();
        let heard = tokio::time::timeout(ANSWER_MAX, self.heard.wait_for(enough)).await;
        match &heard
            .context("the gateway did not answer the publisher")??
            .failure
        {
            Some(failure) => bail!("publishing failed: {failure}"),
            None => Ok(()),
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// Reads answers, which are all the same but for errors.
async fn hear(
    mut reader: ReadHalf<Box<dyn Io>>,
    mut received: BytesMut,
    writer: &Writer,
    told: &watch::Sender<Heard>,
) -> Result<()> {
    let mut assembly = Assembly::default();
    loop {
        while let Some(frame) = take_frame(&mut received)? {
            match frame.opcode {
                Opcode::Ping => {
                    let pong = client_frame(Opcode::Pong, &frame.payload);
                    let mut writer = writer.lock().await;
                    writer.write_all(&pong).await?;
                    writer.flush().await?;
                }
                Opcode::Pong => {}
                Opcode::Close => bail!("the gateway closed the WebSocket: {:?}", frame.payload),
                Opcode::Text | Opcode::Continuation => {
                    let Some(text) = assembly.add(frame)? else {
                        continue;
                    };
                    let answer: Answer = serde_json::from_slice(&text.text)?;
                    if matches!(&*answer.kind, "error" | "disconnect") {
                        bail!("{}", String::from_utf8_lossy(&text.text));
                    }
                    if answer.kind == "published" {
                        told.send_modify(|heard| heard.published += 1);
                    }
                }
            }
        }
        if reader.read_buf(&mut received).await? == 0 {
            bail!("the WebSocket ended");
        }
    }
}
