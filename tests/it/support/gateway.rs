//! A gateway on a port of its own, in this process.

use std::net::SocketAddr;
use std::sync::Arc;

use everyway::config::{Config, Seconds};
use everyway::server::Server;
use everyway::tls::Tls;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::http::{self, Response};
use super::within;

/// A gateway that ends with its test.
pub struct Gateway {
    pub address: SocketAddr,
    /// Where it listens with TLS.
    pub tls_addresses: Vec<SocketAddr>,
    /// The listener for administrators, if there is one.
    pub admin: Option<SocketAddr>,
    pub inner: Arc<everyway::gateway::Gateway>,
    tls: Option<Arc<Tls>>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

impl Gateway {
    /// A gateway with the defaults.
    pub async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// A gateway with some settings changed.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.server.listen = vec!["127.0.0.1:0".to_owned()];
        config.drain.spread_s = Seconds::new(1);
        change(&mut config);
        config.check().expect("a configuration of a test is valid");
        let server = Server::bind(config).await.expect("a free port");
        let (stop, stopped) = oneshot::channel();
        let mut addresses = server.addresses();
        let tls_addresses: Vec<SocketAddr> = server.tls_addresses();
        addresses.extend(&tls_addresses);
        let (address, inner) = (addresses[0], Arc::clone(server.gateway()));
        let admin = server.admin_addresses().first().copied();
        let tls = server.tls().cloned();
        // A dropped sender stops the gateway, too.
        let running = tokio::spawn(server.run(async move { drop(stopped.await) }));
        Self {
            address,
            tls_addresses,
            admin,
            inner,
            tls,
            stop: Some(stop),
            running,
        }
    }

    /// What encrypts its connections.
    pub fn tls(&self) -> &Tls {
        self.tls.as_ref().expect("a gateway with TLS")
    }

    /// Tells the gateway to go down, and goes on.
    pub fn begin_drain(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until the gateway is down.
    pub async fn down(mut self) {
        self.begin_drain();
        within("the gateway to go down", &mut self.running)
            .await
            .expect("the server did not panic");
    }

    pub async fn get(&self, target: &str) -> Response {
        self.request("GET", target, &[], b"").await
    }

    pub async fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        http::request(self.address, method, target, headers, body).await
    }

    /// Sends a request to the listener for administrators.
    pub async fn admin(&self, method: &str, target: &str) -> Response {
        let address = self.admin.expect("a listener for administrators");
        http::request(address, method, target, &[], b"").await
    }

    /// Publishes JSON and returns the offset.
    pub async fn publish(&self, channel: &str, data: &Value) -> u64 {
        let response = self
            .publish_raw(channel, data.to_string().as_bytes(), &[])
            .await;
        assert_eq!(
            response.status,
            200,
            "publish to {channel}: {}",
            response.text()
        );
        response.json()["offset"].as_u64().expect("an offset")
    }

    /// Publishes numbers as messages.
    pub async fn publish_all(&self, channel: &str, numbers: std::ops::RangeInclusive<u64>) {
        for n in numbers {
            self.publish(channel, &n.into()).await;
        }
    }

    pub async fn publish_raw(
        &self,
        channel: &str,
        body: &[u8],
        headers: &[(&str, &str)],
    ) -> Response {
        self.request(
            "POST",
            &format!("/v1/publish?channel={channel}"),
            headers,
            body,
        )
        .await
    }

    /// One page of a short poll.
    pub async fn poll(&self, query: &str) -> Value {
        let response = self.get(&format!("/v1/poll?{query}")).await;
        assert_eq!(response.status, 200, "poll {query}: {}", response.text());
        response.json()
    }

    /// The value of a metric, labels included in the name.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await.text();
        let line = text.lines().find_map(|line| {
            line.strip_prefix(name)?
                .strip_prefix(' ')
                .map(str::to_owned)
        });
        line.unwrap_or_else(|| panic!("no metric {name} in\n{text}"))
            .parse()
            .expect("a number")
    }
}
