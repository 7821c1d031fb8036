//! Where a client stands in each channel, kept from what it was handed, and the cursor that says so.

use std::collections::BTreeMap;

use serde::Deserialize;

/// An object of the wire, as far as positions need it.
#[derive(Debug, Deserialize)]
pub(super) struct Seen {
    #[serde(rename = "type")]
    pub(super) kind: String,
    channel: Option<String>,
    epoch: Option<String>,
    offset: Option<u64>,
    #[serde(default)]
    channels: Vec<Stand>,
}

#[derive(Debug, Deserialize)]
struct Stand {
    channel: String,
    epoch: String,
    offset: u64,
}

/// Where a client stands.
#[derive(Debug, Default)]
pub(super) struct Positions(BTreeMap<String, (String, u64)>);

impl Positions {
    /// Takes in what was handed over. A message keeps the epoch of what came before it.
    pub(super) fn see(&mut self, seen: &Seen) {
        // Answers to commands carry positions, too, which say nothing of what was handed over.
        if !matches!(
            seen.kind.as_str(),
            "welcome" | "subscribed" | "message" | "gap"
        ) {
            return;
        }
        for stand in &seen.channels {
            self.0
                .insert(stand.channel.clone(), (stand.epoch.clone(), stand.offset));
        }
        let (Some(channel), Some(offset)) = (&seen.channel, seen.offset) else {
            return;
        };
        match (&seen.epoch, self.0.get_mut(channel)) {
            (Some(epoch), _) => drop(self.0.insert(channel.clone(), (epoch.clone(), offset))),
            (None, Some(position)) => position.1 = offset,
            (None, None) => {}
        }
    }

    /// The cursor that names every channel; nothing if nothing was seen.
    pub(super) fn cursor(&self) -> Option<String> {
        let items: Vec<String> = self
            .0
            .iter()
            .map(|(channel, (epoch, offset))| format!("{channel}@{epoch}.{offset}"))
            .collect();
        (!items.is_empty()).then(|| items.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_follow_what_was_seen() {
        let mut positions = Positions::default();
        assert_eq!(positions.cursor(), None);
        for json in [
            r#"{"type":"welcome","channels":[{"channel":"b","epoch":"k","offset":3},{"channel":"a","epoch":"k","offset":0}]}"#,
            r#"{"type":"message","channel":"a","offset":1,"time":1,"data":{"offset":9}}"#,
            r#"{"type":"published","channel":"a","epoch":"k","offset":5}"#,
            r#"{"type":"gap","channel":"b","reason":"epoch","epoch":"x","offset":7,"lost":null}"#,
        ] {
            positions.see(&serde_json::from_str(json).unwrap());
        }
        assert_eq!(positions.cursor().as_deref(), Some("a@k.1,b@x.7"));
    }
}
