//! The cells that we chose: what an engineer would ask for first, in as much time as there is.

use super::axes::{Axes, delay, steady};
use crate::cell::{Cell, Protocol, Rate, Transport};

/// The first four.
pub fn base_cells() -> Vec<Cell> {
    Axes::base().cells()
}

/// The same as often as a quick look needs it: of half a second, twice, a p99 can be told.
pub fn quick_twice() -> Vec<Cell> {
    let often = Axes {
        rates: vec![steady(20.0)],
        ..Axes::base()
    };
    often.cells()
}

/// What a quick look measures once: counts hardly differ between repeats, nor does a delay. There are as many clients as
/// memory needs to be seen.
pub fn quick_once() -> Vec<Cell> {
    let far = Axes {
        networks: vec![delay(50.0, 5.0, None)],
        subscribers: vec![50],
        ..Axes::base()
    };
    let idle = Axes {
        rates: vec![Rate::Idle],
        subscribers: vec![50],
        ..Axes::base()
    };
    [far.cells(), idle.cells()].concat()
}

/// Beside the first four: faster, more, encrypted, compressed, and waiting.
pub fn usual_cells() -> Vec<Cell> {
    let fast = Axes {
        rates: vec![steady(100.0)],
        ..Axes::base()
    };
    let many = Axes {
        subscribers: vec![1000],
        ..Axes::base()
    };
    let encrypted = Axes {
        protocols: vec![Protocol::Http2Tls],
        ..Axes::base()
    };
    let compressed = Axes {
        transports: vec![Transport::WebSocket],
        sizes: vec![1024],
        deflate: vec![false, true],
        ..Axes::base()
    };
    let often = Axes {
        transports: vec![Transport::Poll],
        intervals: vec![0.2],
        ..Axes::base()
    };
    let idle = Axes {
        rates: vec![Rate::Idle],
        ..Axes::base()
    };
    // What it costs to wait is judged over TLS, as on the Internet, and without it beside that.
    let idle_encrypted = Axes {
        protocols: vec![Protocol::Http2Tls],
        rates: vec![Rate::Idle],
        ..Axes::base()
    };
    [
        fast,
        many,
        encrypted,
        compressed,
        often,
        idle,
        idle_encrypted,
    ]
    .iter()
    .flat_map(Axes::cells)
    .collect()
}

/// What takes longer, and varies less.
pub fn usual_twice() -> Vec<Cell> {
    let slow = Axes {
        rates: vec![steady(1.0)],
        ..Axes::base()
    };
    let far = Axes {
        networks: vec![delay(50.0, 5.0, None)],
        subscribers: vec![50],
        ..Axes::base()
    };
    [slow.cells(), far.cells()].concat()
}
