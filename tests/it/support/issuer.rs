//! Somebody who issues tokens, with a web server for the public keys that may be replaced, go down, or talk nonsense.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use everyway::config::Config;
use everyway::tls::Tls;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::tunnel::Certs;
use super::within;

/// An issuer, who answers as long as the test's runtime lives.
pub struct Issuer {
    pub address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
}

struct Shared {
    says: Mutex<Says>,
    /// The set of keys, in JSON.
    set: Mutex<String>,
    asked: watch::Sender<usize>,
}

/// What the web server says.
#[derive(Debug, Clone)]
pub enum Says {
    /// The keys.
    Keys,
    /// Bytes, and then the end.
    Raw(Vec<u8>),
    /// Nothing: the connection closes.
    Down,
    /// Nothing, for ever.
    Silence,
}

impl Says {
    /// An answer with a body, of a length that is told.
    pub fn body(body: &str) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        Self::Raw((head + body).into_bytes())
    }

    /// An answer whose body ends with the connection.
    pub fn endless(body: &str) -> Self {
        Self::Raw(format!("HTTP/1.1 200 OK\r\n\r\n{body}").into_bytes())
    }
}

impl Issuer {
    pub async fn start() -> Self {
        Self::listen("http", None).await
    }

    /// One that speaks TLS.
    pub async fn encrypted(certs: &Certs) -> Self {
        let mut config = Config::default();
        config.tls.cert = certs.path("server.pem");
        config.tls.key = certs.path("server.key");
        let tls = Tls::new(&config).expect("a certificate");
        Self::listen("https", Some(tls)).await
    }

    async fn listen(scheme: &'static str, tls: Option<Tls>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            says: Mutex::new(Says::Keys),
            set: Mutex::new(json!({ "keys": [] }).to_string()),
            asked: watch::Sender::new(0),
        });
        let (tls, ours) = (tls.map(Arc::new), Arc::clone(&shared));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, shared) = (tls.clone(), Arc::clone(&ours));
                tokio::spawn(async move {
                    match tls {
                        None => shared.answer(stream).await,
                        // A client that does not trust us leaves.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                shared.answer(stream).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            scheme,
            shared,
        }
    }

    /// Where the keys are.
    pub fn url(&self) -> String {
        format!("{}://localhost:{}/keys", self.scheme, self.address.port())
    }

    pub fn says(&self, says: Says) {
        *self.shared.says.lock() = says;
    }

    /// A new key in the place of the one before.
    pub fn rotate(&self) -> Signer {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
        let x = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
        let kid = x[..8].to_owned();
        let key = json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": kid, "x": x});
        *self.shared.set.lock() = json!({ "keys": [key] }).to_string();
        let key = EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes()).expect("a key");
        Signer { kid, key }
    }

    /// The set of keys, in JSON.
    pub fn set(&self) -> String {
        self.shared.set.lock().clone()
    }

    /// How many requests there were.
    pub fn asked(&self) -> usize {
        *self.shared.asked.borrow()
    }

    /// Waits until there were so many requests.
    pub async fn asked_times(&self, count: usize) {
        let mut asked = self.shared.asked.subscribe();
        let asked = asked.wait_for(|asked| *asked >= count);
        within(&format!("request {count} for keys"), asked)
            .await
            .expect("an issuer that lives");
    }
}

impl Shared {
    async fn answer(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let says = self.says.lock().clone();
        let says = match says {
            Says::Keys => Says::body(&self.set.lock()),
            says => says,
        };
        // The count is there before the answer: who has got it may look.
        self.asked.send_modify(|asked| *asked += 1);
        match says {
            Says::Raw(bytes) => {
                // Who does not want more leaves.
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
            Says::Silence => std::future::pending().await,
            Says::Keys | Says::Down => {}
        }
    }
}

/// A key to sign tokens with.
pub struct Signer {
    kid: String,
    key: EncodingKey,
}

impl Signer {
    /// A token of bob's, good for a minute, that names its key.
    pub fn token(&self) -> String {
        self.sign(Some(&self.kid))
    }

    /// The same, with another name for the key, or none.
    pub fn sign(&self, kid: Option<&str>) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_s = now.expect("a clock after 1970").as_secs();
        let claims: Value =
            json!({"sub": "bob", "exp": now_s + 60, "subscribe": ["*"], "publish": ["*"]});
        let header = Header {
            kid: kid.map(str::to_owned),
            ..Header::new(Algorithm::EdDSA)
        };
        encode(&header, &claims, &self.key).expect("a token")
    }
}
