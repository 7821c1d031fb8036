//! What changed in a room, as subscribers of its presence channel read it.

use std::sync::Arc;

use bytes::Bytes;

use crate::bus::{Payload, UserName};

/// Most bytes of users in one message. What is over waits for the next one, so the largest message of a crowd is far below
/// the 64 KiB that clients expect.
pub const CHANGE_BYTES_MAX: usize = 32 * 1024;

/// How a user stands in a room.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Standing {
    /// Not there.
    #[default]
    Absent,
    /// There, with the JSON that is shown.
    Present(Option<Arc<str>>),
}

/// Some users of a room with how they stand now, as one message.
#[derive(Debug, Default)]
pub struct Change {
    /// Whom it is about, and what is said of them.
    pub told: Vec<(UserName, Standing)>,
    /// How many are in the room now.
    users: usize,
    joined: String,
    left: String,
}

impl Change {
    /// A message about nobody yet, from a room with so many users.
    pub fn new(users: usize) -> Self {
        Self {
            users,
            ..Self::default()
        }
    }

    /// Adds a user and says true; false if there is no room for more. The first one always fits.
    pub fn push(&mut self, user: &UserName, standing: Standing, bytes_max: usize) -> bool {
        let (list, entry) = match &standing {
            Standing::Present(info) => (&mut self.joined, entry(user, info.as_deref())),
            Standing::Absent => (&mut self.left, entry(user, None)),
        };
        let comma = usize::from(!list.is_empty());
        let (joined_bytes, left_bytes, entry_bytes) =
            (self.joined.len(), self.left.len(), entry.len() + comma);
        if !self.told.is_empty() && joined_bytes + left_bytes + entry_bytes > bytes_max {
            return false;
        }
        let list = match standing {
            Standing::Present(_) => &mut self.joined,
            Standing::Absent => &mut self.left,
        };
        if comma > 0 {
            list.push(',');
        }
        list.push_str(&entry);
        self.told.push((user.clone(), standing));
        true
    }

    /// The message: `{"joined":[…],"left":[…],"users":3}`.
    pub fn payload(&self) -> Payload {
        let (joined, left, users) = (&self.joined, &self.left, self.users);
        let json = format!(r#"{{"joined":[{joined}],"left":[{left}],"users":{users}}}"#);
        Payload::Json(Bytes::from(json))
    }
}

/// A user as JSON, with the JSON that is shown of them.
fn entry(user: &UserName, info: Option<&str>) -> String {
    // Text is always JSON.
    let user = serde_json::Value::from(user.as_str());
    match info {
        Some(info) => format!(r#"{{"user":{user},"info":{info}}}"#),
        None => format!(r#"{{"user":{user}}}"#),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> UserName {
        UserName::parse(text).unwrap()
    }

    fn text(change: &Change) -> String {
        String::from_utf8(change.payload().text().to_vec()).unwrap()
    }

    #[test]
    fn a_change_is_the_documented_json() {
        let mut change = Change::new(3);
        let info = Standing::Present(Some(r#"{"a":1}"#.into()));
        assert!(change.push(&name("al\"ice"), info, 1000));
        assert!(change.push(&name("bob"), Standing::Present(None), 1000));
        assert!(change.push(&name("eve"), Standing::Absent, 1000));
        let expected = concat!(
            r#"{"joined":[{"user":"al\"ice","info":{"a":1}},{"user":"bob"}],"#,
            r#""left":[{"user":"eve"}],"users":3}"#
        );
        assert_eq!(text(&change), expected);
        assert_eq!(
            text(&Change::new(0)),
            r#"{"joined":[],"left":[],"users":0}"#
        );
    }

    #[test]
    fn it_is_bounded_in_bytes_and_the_first_always_fits() {
        // {"user":"ab"} and a comma between two.
        let fill = |bytes_max| {
            let mut change = Change::new(9);
            let users = ["ab", "cd", "ef"].map(name);
            let pushed = |user: &&UserName| change.push(user, Standing::Present(None), bytes_max);
            users.iter().take_while(pushed).count()
        };
        assert_eq!(fill(1), 1);
        assert_eq!(fill(13 + 1 + 12), 1);
        assert_eq!(fill(13 + 1 + 13), 2);
        assert_eq!(fill(13 + 1 + 13 + 1 + 13), 3);
    }
}
