//! Patterns of names: a literal, or a prefix that ends in `*`; `{user}` stands for the user's own name.

use crate::bus::UserName;

/// Where the user's name goes.
pub(super) const USER: &str = "{user}";

/// What a right is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    /// This name.
    Literal(Box<str>),
    /// All names that begin so.
    Prefix(Box<str>),
}

/// A list of patterns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns(Box<[Pattern]>);

impl Pattern {
    /// Reads a pattern for a user. The `*` is looked for first and the name is put in then, as it is: a `*` in a name is a
    /// character like any other. Without a name, a pattern with `{user}` is about nobody.
    fn parse(text: &str, user: Option<&str>) -> Option<Self> {
        let (text, make): (_, fn(Box<str>) -> Self) = match text.strip_suffix('*') {
            Some(prefix) => (prefix, Self::Prefix),
            None => (text, Self::Literal),
        };
        match user {
            _ if !text.contains(USER) => Some(make(text.into())),
            Some(user) => Some(make(text.replace(USER, user).into())),
            None => None,
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Literal(literal) => **literal == *name,
            // To compare nothing to nothing is slow: some processors take it for a fault first.
            Self::Prefix(prefix) => prefix.is_empty() || name.starts_with(&**prefix),
        }
    }
}

impl Patterns {
    /// Reads the patterns of a user.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>, user: Option<&str>) -> Self {
        let texts = texts.into_iter();
        Self(
            texts
                .filter_map(|text| Pattern::parse(text, user))
                .collect(),
        )
    }

    /// All channels that are not somebody's inbox.
    pub fn everything() -> Self {
        Self::parse(["*"], None)
    }

    /// True if one of the patterns is about this channel. None is about an inbox, whose name begins with `@`.
    pub fn match_channel(&self, name: &str) -> bool {
        !name.starts_with('@') && self.match_name(name)
    }

    /// True if one of the patterns is about this name, whatever it names.
    pub fn match_name(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(name))
    }
}

/// True for what may stand for users, with the name put in already.
pub(super) fn is_user_pattern(text: &str) -> bool {
    text == "*" || UserName::parse(text.strip_suffix('*').unwrap_or(text)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, user: &str, name: &str) -> bool {
        Patterns::parse([pattern], Some(user)).match_channel(name)
    }

    #[test]
    fn a_pattern_is_a_literal_or_a_prefix() {
        assert!(matches("news", "u", "news"));
        assert!(!matches("news", "u", "newsroom"));
        assert!(matches("room:*", "u", "room:1"));
        assert!(!matches("room:*", "u", "roo"));
        assert!(matches("*", "u", "anything"));
        assert!(!matches("a*b", "u", "axb"));
        assert!(!matches("", "u", "a"));
    }

    #[test]
    fn the_name_of_a_user_is_put_in_as_it_is() {
        assert!(matches("own:{user}", "bob", "own:bob"));
        assert!(matches("own:{user}:*", "bob", "own:bob:1"));
        assert!(!matches("own:{user}", "bob", "own:{user}"));
        for user in ["*", "a*", "{user}", "{user}*"] {
            for name in ["own:a", "own:ab", "own:bob", "own:", "own:{user}"] {
                assert!(
                    !matches("own:{user}", user, name) || name == "own:{user}" && user == "{user}",
                    "{user} is not {name}"
                );
            }
        }
        assert!(!matches("{user}", "*", "news"));
        assert!(!matches("{user}", "n*", "news"));
    }

    #[test]
    fn without_a_name_a_pattern_of_a_user_is_about_nobody() {
        let nobody = Patterns::parse(["own:{user}", "{user}*"], None);
        assert!(!nobody.match_channel("own:"));
        assert!(!nobody.match_channel("own:{user}"));
    }

    #[test]
    fn no_pattern_is_about_an_inbox() {
        for pattern in ["*", "@*", "@bob", "@{user}", "{user}"] {
            assert!(!matches(pattern, "bob", "@bob"), "{pattern}");
            assert!(!matches(pattern, "@bob", "@bob"), "{pattern}");
        }
    }
}
