//! The byte stream under HTTP and WebSocket: guarded while hyper holds it, looked at to see what it speaks, and taken back
//! bare once it is a WebSocket.

mod alarm;
mod guard;
mod linger;
mod patience;
mod permit;
pub mod preface;
mod upgraded;

pub use alarm::{Alarm, WaitTime};
pub use guard::{AnswerGuard, GuardedIo, Phase, Within};
pub use linger::Linger;
pub use permit::SocketPermit;
pub use upgraded::UpgradedIo;
