//! An attachment's presence in the channels it is subscribed to.

use std::sync::Arc;

use super::{Full, Leaving, Presence, Visitor};
use crate::bus::ChannelName;

/// An attachment of somebody with a name, present in channels. Dropping it leaves them with a grace: nobody knows then
/// whether the client comes back.
#[derive(Debug)]
pub struct Guest {
    presence: Arc<Presence>,
    visitor: Visitor,
    channels: Vec<ChannelName>,
}

impl Guest {
    /// An attachment that is nowhere yet.
    pub fn new(presence: &Arc<Presence>, visitor: Visitor) -> Self {
        Self {
            presence: Arc::clone(presence),
            visitor,
            channels: Vec::new(),
        }
    }

    /// Is present in a channel from now on, if the channel has presence.
    ///
    /// # Errors
    /// [`Full`].
    pub fn enter(&mut self, channel: &ChannelName) -> Result<(), Full> {
        if self.presence.enter(channel, &self.visitor)? {
            // Most attachments have few, and there are many attachments.
            self.channels.reserve_exact(1);
            self.channels.push(channel.clone());
        }
        Ok(())
    }

    /// Leaves a channel on purpose.
    pub fn leave(&mut self, channel: &ChannelName) {
        if let Some(at) = self.channels.iter().position(|entered| entered == channel) {
            let channel = self.channels.swap_remove(at);
            self.presence
                .leave(&[channel], &self.visitor, Leaving::AtOnce);
        }
    }

    /// Leaves all channels on purpose.
    pub fn leave_all(&mut self) {
        let channels = std::mem::take(&mut self.channels);
        self.presence
            .leave(&channels, &self.visitor, Leaving::AtOnce);
    }

    /// Shows this of the user from now on: JSON.
    pub fn show_info(&mut self, info: Option<&Arc<str>>) {
        self.visitor.info = info.cloned();
        self.presence.show_info(&self.channels, &self.visitor);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let until = self.presence.grace_ends();
        self.presence
            .leave(&self.channels, &self.visitor, Leaving::Until(until));
    }
}
