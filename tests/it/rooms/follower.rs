//! Whoever keeps a list of who is there: by all messages since the beginning, or by a page and what came after it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::super::support::{Reader, Via};
use super::{page, until_same};

/// Who is in each room, with what is shown of them.
pub type Rooms = BTreeMap<String, BTreeMap<String, Value>>;

/// A task that follows all rooms. It ends when it is dropped.
pub struct Follower {
    what: String,
    pub transport: &'static str,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

/// A list of who is there, and how many the gateway said last.
#[derive(Debug, Default)]
struct Seen {
    rooms: Rooms,
    users: BTreeMap<String, u64>,
}

impl Follower {
    /// Follows from the first message on.
    pub async fn from_the_beginning(
        address: SocketAddr,
        via: Via,
        rooms: &[String],
        token: &str,
    ) -> Self {
        Self::start(address, via, rooms, token, "earliest", Seen::default()).await
    }

    /// Asks who is there, and follows from where it was told to.
    pub async fn from_pages(address: SocketAddr, via: Via, rooms: &[String], token: &str) -> Self {
        let (mut seen, mut items) = (Seen::default(), Vec::new());
        for room in rooms {
            let page = page::read(address, room, token).await;
            items.push(format!("presence:{room}@{}", page.cursor));
            seen.users.insert(room.clone(), page.count);
            seen.rooms.insert(room.clone(), page.shown());
        }
        Self::start(address, via, rooms, token, &items.join(","), seen).await
    }

    async fn start(
        address: SocketAddr,
        via: Via,
        rooms: &[String],
        token: &str,
        cursor: &str,
        seen: Seen,
    ) -> Self {
        let channels: Vec<String> = rooms
            .iter()
            .map(|room| format!("presence:{room}"))
            .collect();
        let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
        let more = format!("&token={token}");
        let mut reader = Reader::attach_as(address, via, &channels, cursor, &more).await;
        let seen = Arc::new(Mutex::new(seen));
        let told = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let (channel, _, change) = reader.message().await;
                told.lock().take(&channel, &change);
            }
        });
        Self {
            what: format!("a follower over {via:?}"),
            transport: super::model::name(via),
            seen,
            task,
        }
    }

    /// Waits until it knows exactly who is there.
    pub async fn knows(&self, rooms: &Rooms) {
        until_same(|| async {
            let difference = self.seen.lock().difference(rooms)?;
            Some(format!("{}: {difference}", self.what))
        })
        .await;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Seen {
    fn take(&mut self, channel: &str, change: &Value) {
        let room = channel
            .strip_prefix("presence:")
            .expect("a presence channel");
        let view = self.rooms.entry(room.to_owned()).or_default();
        for joined in change["joined"].as_array().expect("a list") {
            view.insert(name(joined), joined["info"].clone());
        }
        for left in change["left"].as_array().expect("a list") {
            view.remove(&name(left));
        }
        let users = change["users"].as_u64().expect("a number");
        self.users.insert(room.to_owned(), users);
    }

    /// What it says that is not so.
    fn difference(&self, rooms: &Rooms) -> Option<String> {
        let nobody = BTreeMap::new();
        for (room, there) in rooms {
            let (seen, users) = (self.rooms.get(room), self.users.get(room));
            if seen.unwrap_or(&nobody) != there {
                return Some(format!("{room} has {there:?}, not {seen:?}"));
            }
            if users.copied().unwrap_or_default() != there.len() as u64 {
                return Some(format!("{room} has {}, not {users:?}", there.len()));
            }
        }
        None
    }
}

fn name(user: &Value) -> String {
    user["user"].as_str().expect("a name").to_owned()
}
