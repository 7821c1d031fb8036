//! The configuration: every setting with its meaning, its unit and its default, in one place.
//!
//! The reference in `docs/configuration.md` is generated from the documentation of these fields.

mod check;
pub mod load;
mod network;
mod rate_rule;
pub mod reference;
mod seconds;

pub use network::{Network, NetworkError};
pub use rate_rule::{Pace, RateRule, RateRuleError};
pub use seconds::Seconds;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::transport::Transport;

/// Defines a section: a struct that refuses unknown keys, its defaults, and the documentation of each key. What stands
/// after `with` is a section of its own, and no key.
macro_rules! section {
    ($(#[doc = $about:literal])+ $name:ident at $path:literal {
        $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:expr,)+
    }
    $(with { $($(#[doc = $inner_doc:literal])+ $inner:ident: $inner_type:ty = $inner_default:expr,)+ })?) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)+
            $($($(#[doc = $inner_doc])+ pub $inner: $inner_type,)+)?
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)+ $($($inner: $inner_default,)+)? }
            }
        }

        impl $name {
            /// The section's keys, each with its documentation.
            pub const KEYS: &[Key] =
                &[$(Key { path: concat!($path, stringify!($field)), doc: concat!($($doc),+) }),+];
        }
    };
}

mod auth;
mod namespace;

pub use auth::{Algorithm, Anonymous, ApiKey, Auth, is_channel_pattern};
pub use namespace::{Inbox, Namespace, Presence, Whoever};

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Where it stands: `section.key`.
    pub path: &'static str,
    /// What it means.
    pub doc: &'static str,
}

/// The whole configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the gateway is reached.
    pub server: Server,
    /// Certificate and keys.
    pub tls: Tls,
    /// Who may do what.
    pub auth: Auth,
    /// What channels keep.
    pub history: History,
    /// What is particular to the channels of a namespace, by its name.
    pub namespaces: BTreeMap<String, Namespace>,
    /// Who is where.
    pub presence: Presence,
    /// What is particular to inboxes.
    pub inbox: Inbox,
    /// How much of everything.
    pub limits: Limits,
    /// What is particular to attachments.
    pub attachment: Attachment,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// What is particular to HTTP/2.
    pub http2: Http2,
    /// What is particular to WebSocket.
    pub websocket: WebSocket,
    /// Going down.
    pub drain: Drain,
    /// What is logged.
    pub log: Log,
}

section! {
    /// Where the gateway is reached.
    Server at "server." {
        /// Addresses to listen on, without TLS. More than one may be given.
        listen: Vec<String> = vec!["127.0.0.1:8080".to_owned()],
        /// Addresses to listen on with TLS. HTTP/2 or HTTP/1.1, as the client prefers.
        tls_listen: Vec<String> = Vec::new(),
        /// Addresses to listen on for administrators, without TLS: metrics, health and the requests of administrators, and
        /// nothing else. Whoever reaches them needs no token, so they should be loopback or private ones.
        admin_listen: Vec<String> = Vec::new(),
        /// Host names by which requests may ask for `server.admin_listen`, as in `gateway.internal`. Addresses, `localhost`
        /// and names in `server.admin_listen` itself need not be listed.
        admin_hosts: Vec<String> = Vec::new(),
        /// The transports that are offered, in order of preference.
        transports: Vec<Transport> = Transport::ALL.to_vec(),
        /// Origins whose pages may use the gateway, as in `https://example.com`. Empty: pages of the same host only.
        origins: Vec<String> = Vec::new(),
        /// Adds `/v1/echo`, a WebSocket that returns every message, up to 16 MiB, for conformance suites. On loopback
        /// addresses only.
        echo: bool = false,
        /// A folder whose files are served at `/`, to anybody, by the public listeners: pages that use the gateway from its own host.
        /// `index.html` stands for its folder. Files and folders whose names begin with a dot are not served, nor is what links lead
        /// to outside. The gateway's own paths, and all below `/v1/`, win. Empty: none.
        pages: String = String::new(),
        /// Proxies whose word is taken: addresses such as `10.0.0.1` or networks such as `10.0.0.0/8`. Of a connection
        /// from one of them, the rightmost address in `X-Forwarded-For` that is not listed here is the client's, for
        /// limits and logs, and `X-Forwarded-Proto` says whether it is encrypted. From anybody else these headers are
        /// ignored.
        trusted_proxies: Vec<Network> = Vec::new(),
    }
}

section! {
    /// The certificate and the keys of `server.tls_listen`. The files are read again on SIGHUP and when they change; a
    /// replacement that cannot be used changes nothing.
    Tls at "tls." {
        /// The server's certificate and those between it and its authority, in PEM. If neither this default nor that of
        /// `tls.key` is there, both are made, with an authority for clients to trust: `certs/ca.pem`.
        cert: String = "certs/server.pem".to_owned(),
        /// The key of the certificate, in PEM.
        key: String = "certs/server.key".to_owned(),
        /// Authorities, in PEM, one of which must have signed the certificate of each client. Empty: clients need none.
        client_ca: String = String::new(),
    }
}

section! {
    /// What channels keep.
    History at "history." {
        /// Most messages kept in a channel.
        count_max: usize = 10_000,
        /// Most bytes kept in a channel: messages as they are sent, the fragments and compressed forms that WebSockets made
        /// necessary, and 192 bytes of book-keeping each. The newest message is kept even when it alone is larger.
        bytes_max: usize = 1024 * 1024,
        /// How long a message is kept, in seconds.
        age_s_max: Seconds = Seconds::new(300),
        /// Most channels in all. At the limit the longest idle one that nobody attends is forgotten; if there is none,
        /// publishing to a new channel answers 503 `limit_reached`.
        channels_max: usize = 1_000_000,
        /// Most bytes kept by all channels together. At the limit the longest idle channels lose all but their newest
        /// message; if that is not enough, publishing answers 503 `limit_reached`.
        bytes_total_max: usize = 1024 * 1024 * 1024,
        /// How long a channel's epoch and head outlive its last use, in seconds. After that its positions are lost.
        forget_after_s: Seconds = Seconds::new(86_400),
        /// How long an `Idempotency-Key` is remembered, in seconds.
        key_age_s_max: Seconds = Seconds::new(300),
        /// Most keys remembered in a channel. At the limit the oldest is forgotten.
        keys_max: usize = 1000,
    }
}

section! {
    /// How much of everything.
    Limits at "limits." {
        /// Most TCP connections. One more is closed at once.
        sockets_max: usize = 100_000,
        /// Most TCP connections to `server.admin_listen`, beside the others. One more is closed at once.
        admin_sockets_max: usize = 100,
        /// Most TLS handshakes at once. One more waits, within `timeouts.tls_s`.
        handshakes_max: usize = 1000,
        /// Most TCP connections from one address, of which a whole IPv6 /64 is one. One more is closed at once, before
        /// TLS. Proxies in `server.trusted_proxies` are exempt.
        sockets_per_address_max: usize = 1000,
        /// Most attachments: WebSockets, SSE streams and long polls that wait. One more is answered `overloaded`.
        attachments_max: usize = 100_000,
        /// Most attachments from one address, of which a whole IPv6 /64 is one. One more is answered `overloaded`.
        attachments_per_address_max: usize = 1000,
        /// Most attachments of one user. One more is answered `overloaded`.
        attachments_per_user_max: usize = 100,
        /// Most files of `server.pages` that are sent at a time. One more is answered `overloaded`.
        files_max: usize = 1000,
        /// How often a user may publish, or an address for clients without a user: so many in a second and so many at once,
        /// as in `50/s burst 100`; so many in some seconds and at once, as in `100/60s`; or `off`. A message to several
        /// channels costs one for each. One too many is answered `rate_limited`.
        publish: RateRule = RateRule::fixed(50, 1, 100),
        /// How often an address may send an HTTP request, written the same way. Over WebSocket `subscribe`, `history` and
        /// `refresh` cost one, too, except for the first `subscribe` of each connection.
        requests: RateRule = RateRule::fixed(100, 1, 100),
        /// How often an address may attach anew, by WebSocket, SSE stream or waiting long poll, written the same way.
        attach: RateRule = RateRule::fixed(20, 1, 20),
        /// Most users or addresses that each of these three rules keeps apart. Who comes past it shares an allowance
        /// with others who did, until there is room again.
        rate_keys_max: usize = 100_000,
        /// A WebSocket that publishes or asks too often is told so each time. After this many times within 10 seconds it is
        /// closed with 4029.
        refusals_max: usize = 100,
        /// Whether loopback addresses have the limits of an address too. Set it if a proxy on this machine does not name
        /// its clients.
        loopback: bool = false,
        /// Most channels of one request or one WebSocket.
        channels_max: usize = 100,
        /// Largest message, in bytes: JSON after white space is removed, text and bytes as they are sent. 16777216 (16 MiB) at
        /// most. Raise `history.bytes_max` with it: a channel that has room for one message loses the last one to the next.
        /// A body or a frame may be 4/3 of it and 4 KiB, and has `timeouts.body_s` to arrive. How much may be on its way
        /// in at once is `limits.incoming_bytes_max`.
        message_bytes_max: usize = 65_536,
        /// Most bytes that are on their way in at once: bodies of requests, and messages over WebSocket, compressed ones at their
        /// full length, until they are handled. The first 64 KiB of each WebSocket, and of all bodies of a connection together, are not
        /// counted. One address, of which a whole IPv6 /64 is one, has a quarter of it, or one message if that is more. What
        /// comes past it is answered `overloaded`. At least 4/3 of `limits.message_bytes_max` and 4 KiB.
        incoming_bytes_max: usize = 256 * 1024 * 1024,
        /// Largest request head, in bytes, give or take what one read brings, and how much of a stream is buffered before its reader is left behind. 8192
        /// or more.
        head_bytes_max: usize = 65_536,
        /// Most bytes of messages that wait to be written to one WebSocket, and one message that is larger. Its reader is
        /// then left behind in the history. Answers to its commands may be 64 KiB over it, and one answer that is larger, a page of history, whole.
        queued_bytes_max: usize = 262_144,
        /// Messages in a page when the request does not say.
        page_messages: usize = 100,
        /// Most messages in a page.
        page_messages_max: usize = 1000,
        /// Largest page, in bytes of messages. One message is returned even when it alone is larger.
        page_bytes_max: usize = 1024 * 1024,
    }
}

section! {
    /// What is particular to attachments: WebSockets, SSE streams and long polls that wait.
    Attachment at "attachment." {
        /// The greatest age of an attachment, in seconds: each ends with `shutdown` at an age drawn at random from three
        /// quarters of this to all of it, two seconds late at most, so that balancers fill a new node. 0: any age is fine.
        age_s_max: Seconds = Seconds::new(0),
    }
}

section! {
    /// How long things may take, in seconds.
    Timeouts at "timeouts." {
        /// A TLS handshake, from the connection's start.
        tls_s: Seconds = Seconds::new(10),
        /// A request's head, from its first byte or from the connection's start. Over HTTP/2 a head that stops half-way
        /// ends with the next ping: `http2.ping_s` and `timeouts.pong_s`.
        head_s: Seconds = Seconds::new(10),
        /// A request's body, and a message over WebSocket: one that is not complete by then ends with `slow` at the next ping.
        body_s: Seconds = Seconds::new(30),
        /// Between two requests of a connection; over HTTP/2, without any stream.
        idle_s: Seconds = Seconds::new(75),
        /// A reader that takes nothing: a WebSocket then ends with `slow`, any other connection is closed.
        stall_s: Seconds = Seconds::new(30),
        /// Between two pings, on WebSocket and SSE. At least `timeouts.pong_s`.
        heartbeat_s: Seconds = Seconds::new(25),
        /// From a WebSocket ping to the next byte of its client, else it ends with `heartbeat`.
        pong_s: Seconds = Seconds::new(10),
        /// From a close frame to the client's answer.
        close_s: Seconds = Seconds::new(5),
        /// A long poll that does not say how long it waits.
        wait_s: Seconds = Seconds::new(25),
        /// The longest wait of a long poll.
        wait_s_max: Seconds = Seconds::new(55),
    }
}

section! {
    /// What is particular to HTTP/2.
    Http2 at "http2." {
        /// Most streams of one connection: each WebSocket, SSE stream and long poll takes one.
        streams_max: u32 = 250,
        /// How much a client may send ahead on one stream, in bytes. 16384 or more.
        stream_window_bytes: u32 = 65_536,
        /// How much a client may send ahead on one connection, in bytes. Small frames that wait to be read count as 256
        /// bytes each against half of it, and a client that goes over is cut off: it bounds how many commands all
        /// WebSockets of a connection may have on their way.
        connection_window_bytes: u32 = 4_194_304,
        /// Most bytes that wait to be sent on one stream. 1024 or more.
        send_buffer_bytes: usize = 65_536,
        /// Between two pings of a connection, in seconds. One whose client does not answer within `timeouts.pong_s` is
        /// closed.
        ping_s: Seconds = Seconds::new(20),
    }
}

section! {
    /// What is particular to WebSocket.
    WebSocket at "websocket." {
        /// Whether clients that offer permessage-deflate (RFC 7692) get it. Messages are then compressed once for all of
        /// them, and every message stands for itself.
        deflate: bool = true,
        /// Messages below this many bytes are sent as they are, because compressing them gains nothing.
        deflate_bytes_min: usize = 256,
        /// Messages over this many bytes are sent as they are, because compressing them takes long, and others wait
        /// meanwhile. Clients may send compressed ones of any size.
        deflate_bytes_max: usize = 1024 * 1024,
        /// Messages over this many bytes are sent in fragments of it, so that pings pass between. 512 or more.
        fragment_bytes: usize = 16_384,
    }
}

section! {
    /// Going down on SIGTERM or Ctrl-C.
    Drain at "drain." {
        /// From 503 on `/readyz` to the first farewell, so that a balancer sends no more clients, in seconds.
        notice_s: Seconds = Seconds::new(0),
        /// Over how long the farewells are spread, in seconds. At least 100 clients are told every tenth of a
        /// second.
        over_s: Seconds = Seconds::new(5),
        /// What still runs after this many seconds is cut.
        deadline_s: Seconds = Seconds::new(30),
        /// Clients are told to come back after half a second and a delay drawn at random from 0 to this many seconds.
        spread_s: Seconds = Seconds::new(5),
    }
}

section! {
    /// What is logged, on standard error.
    Log at "log." {
        /// `text` or `json`.
        format: LogFormat = LogFormat::Text,
        /// What is logged: `error`, `warn`, `info`, `debug`, or a filter such as `everyway=debug,hyper=info`. Libraries never say more than `debug`.
        filter: String = "info".to_owned(),
    }
}

/// The greatest `limits.message_bytes_max`. Whoever publishes, holds and reads a message takes a few times its size in memory.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Room for what stands around a message, in its body and while it is kept.
const AROUND_MESSAGE_BYTES: usize = 4096;

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// All settings, in the order of the reference.
    pub fn keys() -> impl Iterator<Item = &'static Key> {
        let sections = [
            Server::KEYS,
            Tls::KEYS,
            Auth::KEYS,
            Anonymous::KEYS,
            History::KEYS,
            Namespace::KEYS,
            Presence::KEYS,
            Inbox::KEYS,
            Limits::KEYS,
            Attachment::KEYS,
            Timeouts::KEYS,
            Http2::KEYS,
            WebSocket::KEYS,
            Drain::KEYS,
            Log::KEYS,
        ];
        sections.into_iter().flatten()
    }

    /// The largest body or frame that can hold a message, in bytes: base64 is a third longer, and a command has a frame of its
    /// own.
    pub fn body_bytes_max(&self) -> usize {
        // Configurations that are refused have absurd numbers.
        let encoded = (self.limits.message_bytes_max / 3).saturating_mul(4);
        encoded.saturating_add(AROUND_MESSAGE_BYTES)
    }

    /// Takes what is read at the start only from the configuration that runs, so that this one says what is in force.
    /// Returns the sections and keys among it that were different.
    pub fn keep_fixed(&mut self, running: &Self) -> Vec<&'static str> {
        let mut changed = Vec::new();
        macro_rules! keep {
            ($($path:literal: $($field:ident).+,)+) => {$(
                // Not all of them can be compared, and all can be printed.
                if format!("{:?}", self.$($field).+) != format!("{:?}", running.$($field).+) {
                    self.$($field).+ = running.$($field).+.clone();
                    changed.push($path);
                }
            )+};
        }
        keep! {
            "server.listen": server.listen,
            "server.tls_listen": server.tls_listen,
            "server.admin_listen": server.admin_listen,
            // Where it may be is checked at the start only.
            "server.echo": server.echo,
            "server.pages": server.pages,
            "tls": tls,
            "history.channels_max": history.channels_max,
            "history.bytes_total_max": history.bytes_total_max,
            "history.forget_after_s": history.forget_after_s,
            "presence.sessions_max": presence.sessions_max,
            "limits.sockets_max": limits.sockets_max,
            "limits.admin_sockets_max": limits.admin_sockets_max,
            "limits.files_max": limits.files_max,
            "limits.handshakes_max": limits.handshakes_max,
            "timeouts.tls_s": timeouts.tls_s,
            "timeouts.heartbeat_s": timeouts.heartbeat_s,
            "timeouts.pong_s": timeouts.pong_s,
            "log": log,
        }
        changed
    }
}
