//! The reference: a loop of one blocking `send` for each subscriber and message. No protocol, no runtime, no choice.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result};
use crowd::process::Process;

use crate::site::Site;

/// The child. A connection gives the orders: how many bytes a message has, how many subscribers will come, and then,
/// again and again, how many messages to send to all of them.
pub fn run(port: u16) -> Result<()> {
    rlimit::increase_nofile_limit(crate::FILES_MAX)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let (mut orders, message_bytes) = first_order(&listener)?;
    let message = vec![b'x'; message_bytes];
    let mut subscribers = Vec::new();
    for _ in 0..order(&mut orders)? {
        let (subscriber, _) = listener.accept()?;
        subscriber.set_nodelay(true)?;
        subscribers.push(subscriber);
    }
    // The orders end when the parent does.
    while let Ok(messages) = order(&mut orders) {
        for _ in 0..messages {
            for subscriber in &mut subscribers {
                subscriber.write_all(&message)?;
            }
        }
    }
    Ok(())
}

/// Who only looks whether somebody listens gives none.
fn first_order(listener: &TcpListener) -> Result<(TcpStream, usize)> {
    loop {
        let (mut orders, _) = listener.accept()?;
        if let Ok(number) = order(&mut orders) {
            return Ok((orders, number));
        }
    }
}

fn order(orders: &mut TcpStream) -> Result<usize> {
    let mut number = [0; 4];
    orders.read_exact(&mut number)?;
    Ok(u32::from_le_bytes(number) as usize)
}

/// The child, as its parent sees it.
#[derive(Debug)]
pub struct Reference {
    /// The process.
    pub process: Process,
    orders: TcpStream,
}

impl Reference {
    /// Starts it for messages of this size, and this many subscribers, who must connect next.
    pub fn start(site: &Site, message_bytes: usize, subscribers: usize) -> Result<Self> {
        let (process, _) = site.start(|[port]| vec!["reference".into(), port.to_string()])?;
        let orders = TcpStream::connect(process.address)?;
        orders.set_nodelay(true)?;
        let mut reference = Self { process, orders };
        reference.send(message_bytes)?;
        reference.send(subscribers)?;
        Ok(reference)
    }

    /// Where subscribers connect.
    pub fn address(&self) -> SocketAddr {
        self.process.address
    }

    /// Sends an order: this many messages.
    pub fn send(&mut self, number: usize) -> Result<()> {
        let number = (number as u32).to_le_bytes();
        self.orders
            .write_all(&number)
            .context("the reference is gone")
    }
}
