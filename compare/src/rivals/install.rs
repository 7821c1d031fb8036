//! Finds the rivals, and installs those that may be installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::rival::Rival;

/// What is installed with npm; the versions this comparison was written against.
const NPM_PACKAGES: [(&str, &str); 2] = [("ws", "8.23.0"), ("socket.io", "4.8.4")];
/// What is installed with pip.
const WEBSOCKETS: &str = "17.4";
/// What is installed with apt-get, by root.
const DEBIAN_PACKAGES: [&str; 2] = ["nginx", "libnginx-mod-nchan"];
/// Where distributions put modules of nginx.
const MODULE_FOLDERS: [&str; 3] = [
    "/usr/lib/nginx/modules",
    "/usr/share/nginx/modules",
    "/usr/lib64/nginx/modules",
];
const NCHAN_MODULE: &str = "ngx_nchan_module.so";

/// A rival that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Who.
    pub rival: Rival,
    /// With the version of what runs it.
    pub version: String,
    /// What it needs to start.
    pub program: Program,
}

/// What a rival is started from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// This executable.
    Itself,
    /// nginx, and the module Nchan.
    Nginx {
        /// The executable.
        nginx: PathBuf,
        /// The module.
        module: PathBuf,
    },
    /// A script of `servers/`, beside the folder `node_modules`.
    Node,
    /// A script of `servers/`, and where Python finds the package.
    Python {
        /// The folder of the package.
        packages: PathBuf,
    },
}

/// Where packages are installed, and whether they may be.
#[derive(Debug, Clone)]
pub struct Shelf {
    /// The folder.
    pub folder: PathBuf,
    /// Whether what is missing is installed.
    pub may_install: bool,
}

impl Shelf {
    /// Finds a rival, or installs it. The error says what is missing and what to do.
    pub fn find(&self, rival: Rival) -> Result<Installed> {
        fs::create_dir_all(&self.folder)?;
        let (program, version) = match rival {
            Rival::Everyway => (Program::Itself, env!("CARGO_PKG_VERSION").to_owned()),
            Rival::Nchan => self.nchan()?,
            Rival::Ws => self.node("ws")?,
            Rival::SocketIo => self.node("socket.io")?,
            Rival::Websockets => self.websockets()?,
        };
        Ok(Installed {
            rival,
            version,
            program,
        })
    }

    fn nchan(&self) -> Result<(Program, String)> {
        if find_nginx().is_err() {
            self.install_debian_packages()?;
        }
        let (nginx, module) = find_nginx()?;
        let version = said(Command::new(&nginx).arg("-v"))?;
        let nginx_version = version.rsplit('/').next().unwrap_or_default();
        let package = ["-W", "-f=${Version}", DEBIAN_PACKAGES[1]];
        let nchan = said(Command::new("dpkg-query").args(package));
        let nchan = nchan.unwrap_or_else(|_| "of unknown version".to_owned());
        let version = format!("{nchan}, nginx {nginx_version}");
        Ok((Program::Nginx { nginx, module }, version))
    }

    fn install_debian_packages(&self) -> Result<()> {
        let names = DEBIAN_PACKAGES.join(" ");
        let advice = format!("install the Debian packages {names}");
        ensure!(
            self.may_install,
            "not installed, and --no-install: {advice}"
        );
        ensure!(
            rustix::process::geteuid().is_root(),
            "not installed, and only root may: {advice}"
        );
        eprintln!("installing the Debian packages {names}");
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["install", "-y", "--no-install-recommends"])
            .args(DEBIAN_PACKAGES);
        said(&mut command).context(advice)?;
        Ok(())
    }

    fn node(&self, package: &str) -> Result<(Program, String)> {
        let node = said(Command::new("node").arg("--version"))
            .context("install Node.js 18 or later, with npm")?;
        if self.npm_version(package).is_err() {
            self.install_npm_packages()?;
        }
        let version = self.npm_version(package)?;
        Ok((Program::Node, format!("{version}, Node.js {node}")))
    }

    fn npm_version(&self, package: &str) -> Result<String> {
        let wanted = NPM_PACKAGES.iter().find(|(name, _)| *name == package);
        let (_, wanted) = wanted.context("a package of ours")?;
        let file = self
            .folder
            .join("node_modules")
            .join(package)
            .join("package.json");
        let text = fs::read_to_string(&file)?;
        let description: serde_json::Value = serde_json::from_str(&text)?;
        let version = description["version"].as_str().context("a version")?;
        ensure!(
            version == *wanted,
            "{package} {version} is there, not {wanted}"
        );
        Ok(version.to_owned())
    }

    fn install_npm_packages(&self) -> Result<()> {
        let packages = NPM_PACKAGES.map(|(name, version)| format!("{name}@{version}"));
        let names = packages.join(" ");
        let folder = self.folder.display();
        let advice = format!("npm install --prefix {folder} {names}");
        ensure!(
            self.may_install,
            "not installed, and --no-install: {advice}"
        );
        eprintln!("installing {names} into {folder}");
        let mut command = Command::new("npm");
        command
            .args(["install", "--no-audit", "--no-fund", "--prefix"])
            .arg(&self.folder)
            .args(packages);
        said(&mut command).context(advice)?;
        Ok(())
    }

    fn websockets(&self) -> Result<(Program, String)> {
        let python = said(Command::new("python3").arg("--version"))
            .context("install Python 3.10 or later, with pip")?;
        let packages = self.folder.join("python");
        if python_version(&packages).is_err() {
            self.install_websockets(&packages)?;
        }
        let version = format!("{}, {python}", python_version(&packages)?);
        Ok((Program::Python { packages }, version))
    }

    fn install_websockets(&self, packages: &Path) -> Result<()> {
        let (name, folder) = (format!("websockets=={WEBSOCKETS}"), packages.display());
        let advice = format!("python3 -m pip install --target {folder} {name}");
        ensure!(
            self.may_install,
            "not installed, and --no-install: {advice}"
        );
        eprintln!("installing {name} into {folder}");
        let mut command = Command::new("python3");
        command
            .args(["-m", "pip", "install", "--quiet", "--upgrade", "--target"])
            .arg(packages)
            .arg(name);
        said(&mut command).context(advice)?;
        Ok(())
    }
}

fn find_nginx() -> Result<(PathBuf, PathBuf)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps it where only root's PATH leads.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let nginx = folders
        .map(|folder| folder.join("nginx"))
        .find(|file| file.is_file());
    let modules = MODULE_FOLDERS.map(|folder| Path::new(folder).join(NCHAN_MODULE));
    let module = modules.into_iter().find(|file| file.is_file());
    match (nginx, module) {
        (Some(nginx), Some(module)) => Ok((nginx, module)),
        _ => bail!(
            "no nginx with Nchan: install the Debian packages {}",
            DEBIAN_PACKAGES.join(" ")
        ),
    }
}

fn python_version(packages: &Path) -> Result<String> {
    let ask = "import websockets.version as v; print(v.version)";
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", packages).args(["-c", ask]);
    let version = said(&mut python)?;
    ensure!(
        version == WEBSOCKETS,
        "websockets {version} is there, not {WEBSOCKETS}"
    );
    Ok(version)
}

/// Runs a command, and returns what it said, without the white space around it. If it fails, that is the error.
fn said(command: &mut Command) -> Result<String> {
    let program = command.get_program().display().to_string();
    let output = command
        .output()
        .with_context(|| format!("{program} cannot be run"))?;
    let both = [output.stdout, output.stderr].concat();
    let both = String::from_utf8_lossy(&both).trim().to_owned();
    ensure!(
        output.status.success(),
        "{program} failed ({}): {both}",
        output.status
    );
    Ok(both)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty_shelf() -> (tempfile::TempDir, Shelf) {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf {
            folder: folder.path().to_owned(),
            may_install: false,
        };
        (folder, shelf)
    }

    #[test]
    fn what_may_not_be_installed_is_named_with_the_command_that_does() {
        let (_folder, shelf) = empty_shelf();
        let refusals = [
            (shelf.install_debian_packages(), "nginx libnginx-mod-nchan"),
            (shelf.install_npm_packages(), "ws@8.23.0 socket.io@4.8.4"),
            (
                shelf.install_websockets(Path::new("/x")),
                "websockets==17.4",
            ),
        ];
        for (refusal, names) in refusals {
            let error = refusal.unwrap_err().to_string();
            assert!(error.contains("--no-install"), "{error}");
            assert!(error.contains(names), "{error}");
        }
    }

    #[test]
    fn another_version_is_not_taken_for_the_one_that_was_asked_for() {
        let (folder, shelf) = empty_shelf();
        let package = folder.path().join("node_modules/ws");
        fs::create_dir_all(&package).unwrap();
        fs::write(package.join("package.json"), r#"{"version":"7.0.0"}"#).unwrap();
        let error = shelf.npm_version("ws").unwrap_err().to_string();
        assert_eq!(error, "ws 7.0.0 is there, not 8.23.0");
        fs::write(package.join("package.json"), r#"{"version":"8.23.0"}"#).unwrap();
        assert_eq!(shelf.npm_version("ws").unwrap(), "8.23.0");
    }

    #[test]
    fn a_command_that_fails_is_quoted() {
        let error = said(Command::new("sh").args(["-c", "echo no room; exit 2"])).unwrap_err();
        assert_eq!(error.to_string(), "sh failed (exit status: 2): no room");
        let error = said(&mut Command::new("no-such-program")).unwrap_err();
        assert_eq!(error.to_string(), "no-such-program cannot be run");
    }
}
