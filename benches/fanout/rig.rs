//! A gateway under load.

use std::time::Duration;

use anyhow::Result;
use crowd::{Crowd, Dialect, Kind, Publisher, Wire};

use crate::PAYLOAD_BYTES;
use crate::reference::Reference;
use crate::server::Gateway;
use crate::site::Site;

/// A gateway with a crowd of subscribers and somebody who publishes.
#[derive(Debug)]
pub struct Rig {
    gateway: Gateway,
    crowd: Crowd,
    publisher: Publisher,
}

impl Rig {
    /// Starts a gateway and connects everybody: to one channel each, in turn.
    pub fn start(site: &Site, kind: Kind, subscribers: usize, channels: &[String]) -> Result<Self> {
        let gateway = Gateway::start(site)?;
        let channel = |index: usize| channels[index % channels.len()].clone();
        let crowd = Crowd::connect(gateway.address, everyway(kind), subscribers, channel)?;
        let publisher = publisher(&gateway, channels.to_vec())?;
        Ok(Self {
            gateway,
            crowd,
            publisher,
        })
    }

    /// Somebody who publishes to other channels.
    pub fn publisher(&self, channels: Vec<String>) -> Result<Publisher> {
        publisher(&self.gateway, channels)
    }

    /// Publishes so many messages to each channel, in one write, and waits until everybody has them and all is answered; so
    /// many rounds of it. Returns the CPU time that it cost the gateway.
    pub fn run(&mut self, rounds: usize, messages: u64) -> Result<Duration> {
        let before = self.gateway.process.cpu()?;
        for _ in 0..rounds {
            self.publisher.publish(messages)?;
            self.crowd.wait_for(self.publisher.published())?;
            self.publisher.wait_for_answers()?;
        }
        Ok(self.gateway.process.cpu()?.since(&before).ran)
    }

    /// The same with one message to each channel of a publisher to whom nobody listens.
    pub fn run_to_nobody(&self, rounds: usize, publisher: &mut Publisher) -> Result<Duration> {
        let before = self.gateway.process.cpu()?;
        for _ in 0..rounds {
            publisher.publish(1)?;
            publisher.wait_for_answers()?;
        }
        Ok(self.gateway.process.cpu()?.since(&before).ran)
    }

    /// The bytes of one delivery, rounded.
    pub fn wire_bytes(&mut self) -> Result<usize> {
        let before = self.crowd.bytes;
        self.run(1, 1)?;
        let bytes = self.crowd.bytes - before;
        Ok((bytes as f64 / self.crowd.len() as f64).round() as usize)
    }
}

/// What subscribers of the gateway speak.
pub fn everyway(kind: Kind) -> Wire {
    let dialect = Dialect::Everyway;
    Wire { dialect, kind }
}

fn publisher(gateway: &Gateway, channels: Vec<String>) -> Result<Publisher> {
    Publisher::connect(gateway.address, Dialect::Everyway, channels, PAYLOAD_BYTES)
}

/// The subscribers that the reference waits for.
pub fn reference_readers(
    reference: &Reference,
    message_bytes: usize,
    count: usize,
) -> Result<Crowd> {
    let wire = Wire {
        dialect: Dialect::Raw(message_bytes),
        kind: Kind::WebSocket,
    };
    Crowd::connect(reference.address(), wire, count, |_| String::new())
}
