//! Certificates for trying out: an authority of one's own, and a server's and a client's certificate that it signed.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::config;
use crate::path::absolute;

/// How long the certificates hold.
const VALID_FOR: Duration = Duration::from_secs(825 * 24 * 60 * 60);
/// Clocks differ a little.
const VALID_BEFORE: Duration = Duration::from_secs(60 * 60);
/// The names of a server that is on the same machine.
pub const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// What is made.
const FILES: [&str; 6] = [
    "ca.pem",
    "ca.key",
    "server.pem",
    "server.key",
    "client.pem",
    "client.key",
];

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A file is there already.
    #[error("{path} is there already: --force replaces it", path = absolute(.0).display())]
    Exists(PathBuf),
    /// A file cannot be written.
    #[error("{path}: {cause}", path = absolute(.0).display(), cause = .1)]
    Write(PathBuf, io::Error),
    /// A certificate cannot be made, mostly because of a name.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// Makes `ca.pem`, `server.pem`, `client.pem` and their keys in a folder. Only the owner can read the keys.
///
/// # Errors
/// [`LocalError`]. Without `force` nothing is replaced.
pub fn make(folder: &Path, names: &[String], force: bool) -> Result<(), LocalError> {
    let ca_key = KeyPair::generate()?;
    let ca = authority();
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let issuer = Issuer::from_params(&ca, &ca_key);
    let (server_key, client_key) = (KeyPair::generate()?, KeyPair::generate()?);
    let server = peer(names, "Everyway", ExtendedKeyUsagePurpose::ServerAuth)?;
    let client = peer(&[], "Everyway client", ExtendedKeyUsagePurpose::ClientAuth)?;
    let server_pem = server.signed_by(&server_key, &issuer)?.pem();
    let client_pem = client.signed_by(&client_key, &issuer)?.pem();
    let files = [
        (ca_pem, 0o644),
        (ca_key.serialize_pem(), 0o600),
        (server_pem, 0o644),
        (server_key.serialize_pem(), 0o600),
        (client_pem, 0o644),
        (client_key.serialize_pem(), 0o600),
    ];
    fs::create_dir_all(folder).map_err(|error| LocalError::Write(folder.to_owned(), error))?;
    if !force {
        check_free(folder)?;
    }
    for (name, (text, mode)) in FILES.into_iter().zip(files) {
        let path = folder.join(name);
        write(&path, &text, mode).map_err(|error| LocalError::Write(path, error))?;
    }
    Ok(())
}

/// Checks that nothing stands in a folder where certificates would go.
///
/// # Errors
/// [`LocalError::Exists`].
pub fn check_free(folder: &Path) -> Result<(), LocalError> {
    let mut paths = FILES.into_iter().map(|name| folder.join(name));
    match paths.find(|path| path.exists()) {
        Some(path) => Err(LocalError::Exists(path)),
        None => Ok(()),
    }
}

/// Where a start makes certificates for trying out, if the configuration names none and there are none.
pub fn folder_to_make(config: &config::Tls) -> Option<PathBuf> {
    let (defaults, paths) = (config::Tls::default(), [&config.cert, &config.key]);
    let are_defaults = paths == [&defaults.cert, &defaults.key];
    let is_one_there = paths.iter().any(|path| Path::new(path).exists());
    // The default has a folder.
    let folder = Path::new(&defaults.cert).parent().unwrap_or(Path::new("."));
    (are_defaults && !is_one_there).then(|| folder.to_owned())
}

/// Written under another name first, so that nobody ever reads half a file, or a key that others may read.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}

fn authority() -> CertificateParams {
    let mut params = valid(CertificateParams::default());
    params
        .distinguished_name
        .push(DnType::CommonName, "Everyway local authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn peer(
    names: &[String],
    common_name: &str,
    purpose: ExtendedKeyUsagePurpose,
) -> Result<CertificateParams, LocalError> {
    let mut params = valid(CertificateParams::new(names)?);
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn valid(mut params: CertificateParams) -> CertificateParams {
    let now = SystemTime::now();
    params.not_before = (now - VALID_BEFORE).into();
    params.not_after = (now + VALID_FOR).into();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
}
