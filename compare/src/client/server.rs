//! Whom requests are addressed to, and what is shown there.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The longest token that is taken from a file: no gateway takes a longer one.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// Whom requests are addressed to.
#[derive(Debug, Clone, Default)]
pub struct Server {
    /// What `Host` says, and what the certificate is for: a name or an address, with or without a port.
    pub host: String,
    /// What stands before the gateway's own paths: nothing, or `/gateway`.
    pub path: String,
    /// What is shown there.
    pub token: Option<Token>,
}

impl Server {
    /// A gateway of our own, which wants no token.
    pub fn local(port: u16) -> Self {
        Self {
            host: format!("localhost:{port}"),
            ..Self::default()
        }
    }
}

/// A token or an API key. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// Takes a token, with spaces around it.
    ///
    /// # Errors
    /// For what cannot be one. The text is not in the error.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let is_token = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        ensure!(
            is_token,
            "what was given as a token is none: it is empty, or has spaces or letters beyond ASCII"
        );
        Ok(Self(text.to_owned()))
    }

    /// The value of `Authorization` (RFC 6750, section 2.1).
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

/// Where the token of a gateway comes from.
#[derive(Debug, Clone, Default)]
pub enum Credentials {
    /// There is none.
    #[default]
    None,
    /// It is this one.
    Token(Token),
    /// It is in a file, which somebody may replace.
    File(PathBuf),
}

impl Credentials {
    /// The token as it is now.
    ///
    /// # Errors
    /// For a file that cannot be read, or has no token in it.
    pub fn read(&self) -> Result<Option<Token>> {
        match self {
            Self::None => Ok(None),
            Self::Token(token) => Ok(Some(token.clone())),
            Self::File(path) => {
                let named = || format!("--token-file {}", path.display());
                Ok(Some(read(path).with_context(named)?))
            }
        }
    }
}

fn read(path: &Path) -> Result<Token> {
    let bytes = std::fs::metadata(path)?.len();
    ensure!(bytes <= TOKEN_BYTES_MAX, "too large for a token");
    Token::parse(&std::fs::read_to_string(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_from_its_file_each_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let credentials = Credentials::File(path.clone());
        assert!(credentials.read().is_err());
        for text in ["one", " two\n"] {
            std::fs::write(&path, text).expect("a file");
            let token = credentials.read().expect("a token");
            assert_eq!(token, Token::parse(text).ok());
        }
        std::fs::write(&path, "x".repeat(64 * 1024)).expect("a file");
        assert!(credentials.read().is_ok());
        std::fs::write(&path, "x".repeat(64 * 1024 + 1)).expect("a file");
        assert!(credentials.read().is_err());
    }

    #[test]
    fn a_token_is_never_printed() {
        let token = Token::parse("abc.def").expect("a token");
        assert_eq!(token.authorization(), "Bearer abc.def");
        let text = format!("{:?}", Credentials::Token(token));
        assert!(!text.contains("abc"), "{text}");
        for bad in ["", " ", "a b", "a\nb", "é"] {
            let error = Token::parse(bad).expect_err("no token").to_string();
            assert!(bad.len() < 2 || !error.contains(bad), "{error}");
        }
    }
}
