//! What a client shows of itself: a token, or an API key, from wherever it was given.

use std::path::PathBuf;

use http::HeaderValue;

use super::endpoint::Failure;
use crate::path::absolute;
use crate::secret::Secret;

/// The longest token that is taken from a file: no gateway takes a longer one.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// Where the token comes from.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// There is none.
    None,
    /// It is this one.
    Token(Secret),
    /// It is in a file, which somebody may replace.
    File(PathBuf),
}

impl Credentials {
    /// The token as it is now.
    ///
    /// # Errors
    /// [`Failure::Local`] for a file that cannot be read.
    pub fn read(&self) -> Result<Option<Secret>, Failure> {
        match self {
            Self::None => Ok(None),
            Self::Token(token) => Ok(Some(token.clone())),
            Self::File(path) => {
                let wrong =
                    |what: &str| Failure::Local(format!("{}: {what}", absolute(path).display()));
                let metadata = std::fs::metadata(path);
                let bytes = metadata.map_err(|error| wrong(&error.to_string()))?.len();
                if bytes > TOKEN_BYTES_MAX {
                    return Err(wrong("too large for a token"));
                }
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|error| wrong(&error.to_string()))?;
                match text.trim() {
                    "" => Err(wrong("there is no token in it")),
                    token => Ok(Some(Secret::new(token))),
                }
            }
        }
    }

    /// True if there is another token by now than the one that was used.
    pub(super) fn has_other(&self, used: Option<&Secret>) -> bool {
        self.read().is_ok_and(|now| now.as_ref() != used)
    }
}

/// `Authorization: Bearer` (RFC 6750, section 2.1), marked so that nothing prints it.
///
/// # Errors
/// [`Failure::Local`] for what cannot be a token.
pub(super) fn header(token: &Secret) -> Result<HeaderValue, Failure> {
    let is_token =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let bearer = format!("Bearer {}", token.reveal());
    let header = HeaderValue::try_from(bearer).ok();
    let mut header = header.filter(|_| is_token(token.reveal())).ok_or_else(|| {
        Failure::Local(
            "what was given as a token is none: it has spaces, or letters beyond ASCII".to_owned(),
        )
    })?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_from_its_file_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let credentials = Credentials::File(path.clone());
        assert!(credentials.read().is_err());
        std::fs::write(&path, " one\n").unwrap();
        let one = credentials.read().unwrap();
        assert_eq!(one, Some(Secret::new("one")));
        assert!(!credentials.has_other(one.as_ref()));
        std::fs::write(&path, "two").unwrap();
        assert!(credentials.has_other(one.as_ref()));
        for bad in [" \n".to_owned(), "x".repeat(64 * 1024 + 1)] {
            std::fs::write(&path, bad).unwrap();
            assert!(credentials.read().is_err() && !credentials.has_other(one.as_ref()));
        }
        std::fs::write(&path, "x".repeat(64 * 1024)).unwrap();
        assert!(credentials.read().is_ok());
    }

    #[test]
    fn a_token_is_never_printed() {
        let token = Secret::new("abc.def");
        let header = header(&token).unwrap();
        assert_eq!(header, "Bearer abc.def");
        let text = format!("{header:?} {:?}", Credentials::Token(token));
        assert!(!text.contains("abc"), "{text}");
        for bad in ["", "a b", "a\nb", "é"] {
            let error = super::header(&Secret::new(bad)).unwrap_err().to_string();
            assert!(bad.is_empty() || !error.contains(bad), "{error}");
        }
    }
}
