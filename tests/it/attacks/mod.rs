//! The attack suite: every abuse that the gateway is held against, the rule that stands against it, and the test that proves
//! it. Sections are those of the design (what `docs/protocol.md` and `docs/ARCHITECTURE.md` say) unless an RFC is named. A
//! test holds this list to the tests: each one that it names is there, and each one of the suite is named.
//!
//! | abuse | rule | test |
//! |---|---|---|
//! TABLE

mod floods;
mod inboxes;
mod origins;
mod secrets;
mod siege;
mod tokens;
