//! A siege: the real program, honest clients on all four transports beside the attackers, and a look at its memory.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::interval;

use crate::support::program::Program;
use crate::support::tunnel::Certs;
use crate::support::ws::Ws;
use crate::support::{Reader, Via, until};

/// What the program may hold more than before while it is attacked.
const PEAK_BYTES_MAX: u64 = 192 << 20;
/// What it may hold more than before once the attackers are gone.
pub const KEPT_BYTES_MAX: u64 = 24 << 20;
/// How many messages each honest client is handed while the attack goes on, at least.
const HEARD_MIN: u64 = 50;
/// Between two messages, and between two looks at the memory.
const PACE: Duration = Duration::from_millis(10);

/// Limits that an attacker need not be waited for long.
const HURRIED: &[&str] = &[
    "timeouts.head_s=0.5",
    "timeouts.body_s=0.5",
    "timeouts.tls_s=0.5",
    "timeouts.stall_s=0.5",
    "timeouts.close_s=0.3",
];

/// A program under attack.
pub struct Siege {
    program: Arc<Program>,
    /// Where it listens without TLS.
    pub address: SocketAddr,
    /// Where it listens with TLS.
    pub encrypted: SocketAddr,
    _certs: Certs,
}

impl Siege {
    /// Starts the program with some settings changed.
    pub async fn of(settings: &[&str]) -> Self {
        let certs = Certs::make();
        let mut command = Command::new(env!("CARGO_BIN_EXE_everyway"));
        command.args(["--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"]);
        let (cert, key) = (certs.path("server.pem"), certs.path("server.key"));
        let files = [format!("tls.cert={cert}"), format!("tls.key={key}")];
        let settings = HURRIED.iter().chain(settings).map(ToString::to_string);
        for setting in settings.chain(files) {
            command.args(["--set", &setting]);
        }
        let program = Program::start(command);
        Self {
            address: listens(&program, "listening address=").await,
            encrypted: listens(&program, "listening with TLS address=").await,
            program: Arc::new(program),
            _certs: certs,
        }
    }

    /// The memory of the program, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.program.resident_bytes()
    }

    /// Attacks until the work of the attack is done and everybody honest was handed enough meanwhile. Nothing may be missing
    /// or come twice, and the memory may grow only so far, and falls back.
    pub async fn endure(&self, attack: impl AsyncFn(&Self)) {
        // What serving costs at first is not the attack's.
        Crowd::gather(self.address).await.part().await;
        let before = self.resident_bytes();
        let crowd = Crowd::gather(self.address).await;
        let looking = self.look_for_the_peak();
        loop {
            attack(self).await;
            if crowd.has_heard(HEARD_MIN) {
                break;
            }
        }
        crowd.part().await;
        let peak = looking.stop().await.saturating_sub(before);
        assert!(
            peak < PEAK_BYTES_MAX,
            "{peak} bytes more were held at the worst"
        );
        let kept = || self.resident_bytes().saturating_sub(before);
        let falls_back = async || kept() < KEPT_BYTES_MAX;
        until("the memory to be given back", falls_back).await;
    }

    fn look_for_the_peak(&self) -> Counted {
        let program = Arc::clone(&self.program);
        Counted::spawn(async move |counted, peak| {
            let mut pace = interval(PACE);
            while !counted.load(Ordering::Acquire) {
                pace.tick().await;
                peak.fetch_max(program.resident_bytes(), Ordering::AcqRel);
            }
        })
    }
}

async fn listens(program: &Program, label: &str) -> SocketAddr {
    let printed = program.printed_with(label).await;
    let (_, rest) = printed.split_once(label).expect("it was printed");
    let address = rest.split_whitespace().next().expect("an address");
    address.parse().expect("an address")
}

/// A task with a number, until it is told to stop.
struct Counted {
    over: Arc<AtomicBool>,
    number: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Counted {
    fn spawn<F: Future<Output = ()> + Send + 'static>(
        run: impl FnOnce(Arc<AtomicBool>, Arc<AtomicU64>) -> F,
    ) -> Self {
        let (over, number) = (Arc::default(), Arc::default());
        let task = tokio::spawn(run(Arc::clone(&over), Arc::clone(&number)));
        Self { over, number, task }
    }

    /// Tells it to stop, and returns its number once it has.
    async fn stop(self) -> u64 {
        self.over.store(true, Ordering::Release);
        self.task
            .await
            .expect("what an honest client sees is in order");
        self.number.load(Ordering::Acquire)
    }
}

/// Honest clients, one over each transport, and who publishes to them.
struct Crowd {
    publisher: Counted,
    readers: Vec<Counted>,
}

impl Crowd {
    /// Everybody is there, and the first message is on its way.
    async fn gather(address: SocketAddr) -> Self {
        let mut readers = Vec::new();
        for via in Via::TRANSPORTS {
            let reader = Reader::attach(address, via, &["calm"], "now").await;
            readers.push(Counted::spawn(|_, heard| read(reader, heard)));
        }
        let (publisher, _) = Ws::welcomed(address, "/v1/ws").await;
        let publisher = Counted::spawn(|over, said| publish(publisher, over, said));
        Self { publisher, readers }
    }

    fn has_heard(&self, count: u64) -> bool {
        let mut readers = self.readers.iter();
        readers.all(|reader| {
            // A reader that failed hears no more, and says why when it is stopped.
            reader.number.load(Ordering::Acquire) >= count || reader.task.is_finished()
        })
    }

    /// The last message is said; everybody must have heard all of them.
    async fn part(self) {
        let said = self.publisher.stop().await;
        for reader in self.readers {
            assert_eq!(reader.stop().await, said, "all that was said is heard");
        }
    }
}

/// Publishes numbers, and in the end that it is the end.
async fn publish(mut ws: Ws, over: Arc<AtomicBool>, said: Arc<AtomicU64>) {
    let mut pace = interval(PACE);
    while !over.load(Ordering::Acquire) {
        pace.tick().await;
        let number = said.fetch_add(1, Ordering::AcqRel) + 1;
        let data = json!({"action": "publish", "channel": "calm", "data": number});
        assert_eq!(ws.ask(data).await["type"], "published");
    }
    let end = json!({"action": "publish", "channel": "calm", "data": "over"});
    assert_eq!(ws.ask(end).await["type"], "published");
}

/// Reads numbers, each of which is one more than the last.
async fn read(mut reader: Reader, heard: Arc<AtomicU64>) {
    loop {
        let (_, _, data) = reader.message().await;
        if data == "over" {
            return;
        }
        let number = heard.fetch_add(1, Ordering::AcqRel) + 1;
        assert_eq!(data, number, "{:?}", reader.via);
    }
}
