//! What no single setting can say: that a configuration as a whole makes sense.

use super::{AROUND_MESSAGE_BYTES, Config, MESSAGE_BYTES_MAX, Seconds};

/// The most that a message grows while it becomes JSON: a control character in a text is written in six (RFC 8259, section 7).
const JSON_GROWTH_MAX: usize = 6;

impl Config {
    /// Checks what no single key can say.
    ///
    /// # Errors
    /// A sentence that names the key and what to do.
    pub fn check(&self) -> Result<(), String> {
        let at_least_one = [
            ("history.count_max", self.history.count_max),
            ("history.channels_max", self.history.channels_max),
            ("history.keys_max", self.history.keys_max),
            ("limits.sockets_max", self.limits.sockets_max),
            ("limits.admin_sockets_max", self.limits.admin_sockets_max),
            ("limits.channels_max", self.limits.channels_max),
            ("limits.attachments_max", self.limits.attachments_max),
            (
                "limits.sockets_per_address_max",
                self.limits.sockets_per_address_max,
            ),
            (
                "limits.attachments_per_address_max",
                self.limits.attachments_per_address_max,
            ),
            (
                "limits.attachments_per_user_max",
                self.limits.attachments_per_user_max,
            ),
            ("limits.files_max", self.limits.files_max),
            ("limits.rate_keys_max", self.limits.rate_keys_max),
            ("limits.refusals_max", self.limits.refusals_max),
            ("limits.message_bytes_max", self.limits.message_bytes_max),
            ("limits.page_messages", self.limits.page_messages),
            ("limits.handshakes_max", self.limits.handshakes_max),
            ("server.transports", self.server.transports.len()),
        ];
        if let Some((key, _)) = at_least_one.iter().find(|(_, value)| *value == 0) {
            return Err(format!("{key} must be at least 1"));
        }
        if self.server.listen.is_empty() && self.server.tls_listen.is_empty() {
            let sentence = "server.listen: no address is left to listen on: give one here or in server.tls_listen";
            return Err(sentence.to_owned());
        }
        let zero = Seconds::new(0);
        let more_than_zero = [
            ("timeouts.head_s", self.timeouts.head_s),
            ("timeouts.body_s", self.timeouts.body_s),
            ("timeouts.tls_s", self.timeouts.tls_s),
            ("timeouts.idle_s", self.timeouts.idle_s),
            ("timeouts.stall_s", self.timeouts.stall_s),
            ("timeouts.heartbeat_s", self.timeouts.heartbeat_s),
            ("timeouts.pong_s", self.timeouts.pong_s),
            ("http2.ping_s", self.http2.ping_s),
            ("history.age_s_max", self.history.age_s_max),
        ];
        if let Some((key, _)) = more_than_zero.iter().find(|(_, value)| *value <= zero) {
            return Err(format!("{key} must be more than 0"));
        }
        self.check_relations()?;
        self.check_namespaces()?;
        self.check_texts()
    }

    /// Checks that settings fit each other.
    fn check_relations(&self) -> Result<(), String> {
        let ordered = [
            (
                self.limits.head_bytes_max >= 8192,
                "limits.head_bytes_max must be at least 8192",
            ),
            (
                self.limits.queued_bytes_max >= 4096,
                "limits.queued_bytes_max must be at least 4096",
            ),
            (
                self.timeouts.pong_s <= self.timeouts.heartbeat_s,
                "timeouts.pong_s must be at most timeouts.heartbeat_s: a ping is answered before the next one",
            ),
            (
                self.drain.over_s <= self.drain.deadline_s,
                "drain.over_s must be at most drain.deadline_s: who was not told by then is cut",
            ),
            (
                self.http2.send_buffer_bytes >= 1024,
                "http2.send_buffer_bytes must be at least 1024",
            ),
            (
                self.http2.streams_max >= 1,
                "http2.streams_max must be at least 1",
            ),
            (
                (16_384..1 << 31).contains(&self.http2.stream_window_bytes)
                    && (65_535..1 << 31).contains(&self.http2.connection_window_bytes),
                "http2.stream_window_bytes must be at least 16384, http2.connection_window_bytes at least 65535, \
                 and both below 2^31",
            ),
            (
                self.websocket.fragment_bytes >= 512,
                "websocket.fragment_bytes must be at least 512",
            ),
            (
                self.history.bytes_total_max >= self.history.bytes_max,
                "history.bytes_total_max must be at least history.bytes_max",
            ),
            (
                self.limits.message_bytes_max <= MESSAGE_BYTES_MAX,
                "limits.message_bytes_max must be at most 16777216 (16 MiB): send what is larger elsewhere, and its address here",
            ),
            (
                self.limits.incoming_bytes_max >= self.body_bytes_max(),
                "limits.incoming_bytes_max must be at least 4/3 of limits.message_bytes_max, and 4096 more: raise it, or lower \
                 limits.message_bytes_max, because the body of a large message would never be taken",
            ),
            (
                self.history.bytes_max >= self.limits.message_bytes_max,
                "history.bytes_max must be at least limits.message_bytes_max: a channel keeps its newest message",
            ),
            (
                self.limits
                    .message_bytes_max
                    .saturating_mul(JSON_GROWTH_MAX)
                    .saturating_add(AROUND_MESSAGE_BYTES)
                    <= self.history.bytes_total_max,
                "history.bytes_total_max must be at least 6 times limits.message_bytes_max, and 4096 more: as JSON a text may \
                 take that much, and one that never fits could never be published",
            ),
            (
                self.limits.page_messages_max >= self.limits.page_messages,
                "limits.page_messages_max must be at least limits.page_messages",
            ),
            (
                self.timeouts.wait_s_max >= self.timeouts.wait_s,
                "timeouts.wait_s_max must be at least timeouts.wait_s",
            ),
            (
                self.history.forget_after_s >= self.history.age_s_max,
                "history.forget_after_s must be at least history.age_s_max: positions must outlive messages",
            ),
            (
                self.history.count_max <= u32::MAX as usize,
                "history.count_max must be below 2^32",
            ),
        ];
        match ordered.iter().find(|(holds, _)| !holds) {
            Some((_, sentence)) => Err((*sentence).to_owned()),
            None => Ok(()),
        }
    }

    /// Checks the settings that are text with a form of its own.
    fn check_texts(&self) -> Result<(), String> {
        let bad = |key: &str, text: &str, expected: &str| {
            Err(format!("{key}: {text:?} is not {expected}"))
        };
        for (key, addresses) in [
            ("server.listen", &self.server.listen),
            ("server.tls_listen", &self.server.tls_listen),
            ("server.admin_listen", &self.server.admin_listen),
        ] {
            if let Some(listen) = addresses.iter().find(|listen| !is_address(listen)) {
                return bad(key, listen, "an address such as 127.0.0.1:8080");
            }
        }
        if let Some(host) = self.server.admin_hosts.iter().find(|host| !is_host(host)) {
            return bad(
                "server.admin_hosts",
                host,
                "a host name such as gateway.internal, without a port",
            );
        }
        if let Some(origin) = self.server.origins.iter().find(|origin| !is_origin(origin)) {
            return bad(
                "server.origins",
                origin,
                "an origin such as https://example.com, without a path or a pattern, or * alone",
            );
        }
        let mut transports = self.server.transports.clone();
        transports.sort_by_key(|transport| transport.as_str());
        if transports.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("server.transports: a transport is named twice".to_owned());
        }
        self.auth.check()?;
        match tracing_subscriber::EnvFilter::try_new(&self.log.filter) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("log.filter: {error}")),
        }
    }
}

fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn is_host(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}

/// A scheme and a host, with a port if it is not the usual one (RFC 6454, section 6.2).
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else {
        return text == "*";
    };
    matches!(scheme, "http" | "https")
        && !host.is_empty()
        && !host.contains(['/', '?', '#', '@', ' ', ',', '*'])
}
