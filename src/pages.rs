//! The folder whose files are served as pages: what is in it, and what only seems to be.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::path::absolute;

/// What a folder answers with.
const INDEX: &str = "index.html";

/// A folder that cannot be served.
#[derive(Debug, thiserror::Error)]
#[error(
    "server.pages: {folder} cannot be served ({cause}): name a folder that is there, or leave it out"
)]
pub struct PagesError {
    folder: String,
    cause: io::Error,
}

/// The folder of pages.
#[derive(Debug)]
pub struct Pages {
    /// Without symbolic links, so that what is in it begins with it.
    root: PathBuf,
    open: Arc<Semaphore>,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A file.
    File(PathBuf),
    /// A folder, that was asked for without the slash at its end: its links would lead elsewhere.
    Folder,
    /// Nothing that is served.
    Nothing,
}

impl Pages {
    /// The folder of the configuration; none if it names none. At most `files_max` files are open at a time.
    ///
    /// # Errors
    /// [`PagesError`] if it is not there, or no folder.
    pub fn open(folder: &str, files_max: usize) -> Result<Option<Self>, PagesError> {
        if folder.is_empty() {
            return Ok(None);
        }
        let root = Path::new(folder)
            .canonicalize()
            .and_then(|root| root.read_dir().map(|_| root))
            .map_err(|cause| PagesError {
                folder: absolute(Path::new(folder)).display().to_string(),
                cause,
            })?;
        Ok(Some(Self {
            root,
            open: Arc::new(Semaphore::new(files_max.min(Semaphore::MAX_PERMITS))),
        }))
    }

    /// A place for one more open file, if there is one.
    pub fn admit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.open).try_acquire_owned().ok()
    }

    /// Looks for what is at the path of a URL. It asks the file system, off the workers.
    ///
    /// # Errors
    /// What the file system says, other than that nothing is there.
    pub async fn find(&self, path: &str) -> io::Result<Found> {
        let Some(wanted) = Wanted::parse(path) else {
            return Ok(Found::Nothing);
        };
        let root = self.root.clone();
        let found = tokio::task::spawn_blocking(move || wanted.find_in(&root)).await;
        match found.map_err(io::Error::other)? {
            Err(error) if is_absence(&error) => Ok(Found::Nothing),
            found => found,
        }
    }
}

/// A path of a URL, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    /// Names of files and folders, and no dots.
    path: PathBuf,
    /// True if it ends with a slash.
    is_folder: bool,
}

impl Wanted {
    /// Takes the path of a URL apart. Nothing for one that no file is served at: with names that begin with a dot, with
    /// empty ones, and with those that hold what separates names somewhere, in any encoding.
    fn parse(path: &str) -> Option<Self> {
        let mut names: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        // What follows the last slash; of the root, there is nothing else.
        let is_folder = names.pop_if(|last| last.is_empty()).is_some();
        let mut path = PathBuf::new();
        for name in names {
            let name = percent_decode_str(name).decode_utf8().ok()?;
            let is_allowed = |c: char| !c.is_control() && !matches!(c, '/' | '\\');
            if name.is_empty() || name.starts_with('.') || !name.chars().all(is_allowed) {
                return None;
            }
            path.push(name.as_ref());
        }
        Some(Self { path, is_folder })
    }

    /// Looks for it. Where links lead is where it is: what lies outside, or is hidden there, is not served.
    fn find_in(&self, root: &Path) -> io::Result<Found> {
        let mut found = root.join(&self.path).canonicalize()?;
        if is_shown(&found, root) && found.is_dir() {
            if !self.is_folder {
                return Ok(Found::Folder);
            }
            found = found.join(INDEX).canonicalize()?;
        } else if self.is_folder {
            return Ok(Found::Nothing);
        }
        // A pipe or a device would never end, or never begin.
        let is_served = is_shown(&found, root) && found.metadata()?.is_file();
        Ok(if is_served {
            Found::File(found)
        } else {
            Found::Nothing
        })
    }
}

fn is_shown(found: &Path, root: &Path) -> bool {
    let is_hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
    found
        .strip_prefix(root)
        .is_ok_and(|names| !names.iter().any(is_hidden))
}

/// True if there is nothing that could be served, for whatever reason: who asks need not know which.
fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound, PermissionDenied};
    matches!(
        error.kind(),
        NotFound | NotADirectory | PermissionDenied | InvalidFilename | InvalidInput
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_names_and_nothing_else() {
        let wanted = |path: &str| {
            let wanted = Wanted::parse(path)?;
            Some((wanted.path.to_str().unwrap().to_owned(), wanted.is_folder))
        };
        for (path, names, is_folder) in [
            ("/", "", true),
            ("/a", "a", false),
            ("/a/", "a", true),
            ("/a/b.html", "a/b.html", false),
            ("/%61%20b/%C3%A9.js", "a b/é.js", false),
            ("/a..b/c.", "a..b/c.", false),
            ("/%252e%252e/a", "%2e%2e/a", false),
        ] {
            assert_eq!(wanted(path), Some((names.to_owned(), is_folder)), "{path}");
        }
        for path in [
            "",
            "a",
            "*",
            "//",
            "//a",
            "/a//b",
            "/a//",
            "/.",
            "/..",
            "/../a",
            "/a/..",
            "/a/../b",
            "/.a",
            "/a/.git/b",
            "/%2e%2e/a",
            "/%2E./a",
            "/.%2e",
            "/a%2fb",
            "/a%2Fb",
            "/..%2fa",
            "/a%5cb",
            "/a\\b",
            "/..%5c..",
            "/a%00",
            "/a%0a",
            "/%ff",
            "/%c0%ae%c0%ae/a",
            "/a%7f",
        ] {
            assert_eq!(wanted(path), None, "{path}");
        }
    }
}
