//! Starts the servers, each as its documentation sets it up.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use crowd::place::Place;
use crowd::process::{Process, free_port};

use super::install::{Installed, Program, Shelf};
use super::rival::Rival;

const NGINX_CONFIG: &str = include_str!("servers/nginx.conf");
const WS_SERVER: &str = include_str!("servers/ws.mjs");
const SOCKET_IO_SERVER: &str = include_str!("servers/socketio.mjs");
const WEBSOCKETS_SERVER: &str = include_str!("servers/websockets_server.py");

/// What all servers have in common.
#[derive(Debug)]
pub struct Launcher<'a> {
    /// Where they run.
    pub place: Place,
    /// Where their packages are.
    pub shelf: &'a Shelf,
    /// Where they may write.
    pub folder: &'a Path,
    /// Files that each may open.
    pub files_max: u64,
}

impl Launcher<'_> {
    /// Starts a server, and waits until it listens.
    pub fn start(&self, installed: &Installed) -> Result<Process> {
        let port = free_port()?;
        let command = self.command(installed, port)?;
        let log = self.folder.join(format!("{port}.log"));
        Process::start(&self.place, command, port, log)
            .with_context(|| format!("{} does not start", installed.rival.name()))
    }

    fn command(&self, installed: &Installed, port: u16) -> Result<Command> {
        let port = port.to_string();
        Ok(match (&installed.program, installed.rival) {
            (Program::Itself, _) => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["rivals", "serve", &port]);
                command
            }
            (Program::Nginx { nginx, module }, _) => {
                let config = self.folder.join(format!("{port}.conf"));
                fs::write(&config, self.nginx_config(module, &port)?)?;
                let mut command = Command::new(nginx);
                command.arg("-p").arg(self.folder).arg("-c").arg(config);
                command
            }
            (Program::Node, rival) => {
                let (name, script) = match rival {
                    Rival::SocketIo => ("socketio.mjs", SOCKET_IO_SERVER),
                    _ => ("ws.mjs", WS_SERVER),
                };
                // Beside `node_modules`, where it looks for packages.
                let file = self.shelf.folder.join(name);
                fs::write(&file, script)?;
                let mut command = Command::new("node");
                command.arg(file).arg(port);
                command
            }
            (Program::Python { packages }, _) => {
                let file = self.folder.join("websockets_server.py");
                fs::write(&file, WEBSOCKETS_SERVER)?;
                let mut command = Command::new("python3");
                command.env("PYTHONPATH", packages).arg(file).arg(port);
                command
            }
        })
    }

    fn nginx_config(&self, module: &Path, port: &str) -> Result<String> {
        let folder = self.folder.join(port);
        fs::create_dir_all(&folder)?;
        let user = if rustix::process::geteuid().is_root() {
            // Its workers write where only root may.
            "user root;"
        } else {
            ""
        };
        Ok(NGINX_CONFIG
            .replace("{{module}}", &module.display().to_string())
            .replace("{{user}}", user)
            .replace("{{files}}", &self.files_max.to_string())
            .replace("{{folder}}", &folder.display().to_string())
            .replace("{{port}}", port))
    }
}
