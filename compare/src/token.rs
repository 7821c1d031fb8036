//! The options that say what is shown to a gateway elsewhere.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::client::server::{Credentials, Token};

/// What is shown to a gateway elsewhere.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// A token or an API key that may subscribe and publish to compare:*. Others on this machine can see it in the list of
    /// processes: rather use --token-file, or the environment variable EVERYWAY_TOKEN.
    #[arg(
        long,
        value_name = "TOKEN",
        requires = "url",
        conflicts_with = "token_file"
    )]
    token: Option<Typed>,
    /// A file with the token. It is read again for each repeat, so that it may be replaced before it runs out.
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
}

/// A token as it was typed. What is wrong with it is said later: here it would be repeated.
#[derive(Clone)]
struct Typed(String);

impl fmt::Debug for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Typed(…)")
    }
}

impl FromStr for Typed {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

/// The variable that may hold the token.
const TOKEN_VARIABLE: &str = "EVERYWAY_TOKEN";

impl TokenArgs {
    /// What the options say, else the environment.
    ///
    /// # Errors
    /// For what cannot be a token.
    pub fn credentials(&self) -> Result<Credentials> {
        if let Some(Typed(text)) = &self.token {
            return Ok(Credentials::Token(Token::parse(text)?));
        }
        if let Some(path) = &self.token_file {
            return Ok(Credentials::File(path.clone()));
        }
        match std::env::var_os(TOKEN_VARIABLE) {
            Some(text) if !text.is_empty() => {
                let text = text.to_str().unwrap_or_default();
                let token = Token::parse(text).context(TOKEN_VARIABLE)?;
                Ok(Credentials::Token(token))
            }
            _ => Ok(Credentials::None),
        }
    }
}

/// The report is for others, and the token is not.
pub fn without_token(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut is_token = false;
    for argument in arguments {
        kept.push(match argument.as_str() {
            _ if is_token => "TOKEN".to_owned(),
            joined if joined.starts_with("--token=") => "--token=TOKEN".to_owned(),
            _ => argument.clone(),
        });
        is_token = argument == "--token" && !is_token;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_in_the_command_that_is_reported() {
        for (typed, reported) in [
            ("--token ew_1 --quick", "--token TOKEN --quick"),
            ("--quick --token=ew_1", "--quick --token=TOKEN"),
            ("--token-file t --url u", "--token-file t --url u"),
        ] {
            let arguments = typed.split(' ').map(str::to_owned);
            assert_eq!(without_token(arguments).join(" "), reported);
        }
    }
}
