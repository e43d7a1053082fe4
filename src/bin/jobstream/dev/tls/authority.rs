//! The files of a certificate authority and of a server certificate: `ca.crt`, `ca.key`, `server.crt` and `server.key`.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jobstream::clock::Clock;
use jobstream::job::Timestamp;
use jobstream::server::{CertificateInfo, ServerTls, TlsOptions};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustix::fs::{FlockOperation, flock};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Lifetime of the authority: clients trust it once.
const AUTHORITY_DAYS: u32 = 3_650;
/// Lifetime of a server certificate, which is renewed at a start if less than the latter is left. Some clients refuse a
/// certificate for more than 398 days.
const SERVER_DAYS: u32 = 365;
const RENEWAL_DAYS: u32 = 30;

/// Mode of the files: keys are for the user only.
const KEY_MODE: u32 = 0o600;
const CERTIFICATE_MODE: u32 = 0o644;

/// Makes the files that are missing, about to expire, or not for these hosts. A server certificate keeps the hosts that it
/// has: another server may use it.
///
/// # Errors
///
/// If a file cannot be read or written, or the authority's files are not a pair of a certificate and its key.
pub(super) fn make(directory: &Path, hosts: &[String]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let lock = File::create(directory.join("lock"))?;
    // Only one process at a time makes files here. The lock ends with the file.
    flock(&lock, FlockOperation::LockExclusive)?;
    let now = Clock::system().now().wall;
    let authority = match pair(directory, "ca")? {
        Some(certificate) if days_left(&certificate, now) > SERVER_DAYS => existing_authority(directory)?,
        _ => new_authority(directory, now)?,
    };
    let mut hosts = hosts.to_vec();
    // A broken pair is replaced.
    if let Ok(Some(certificate)) = pair(directory, "server") {
        let is_current = days_left(&certificate, now) > RENEWAL_DAYS;
        if is_current && hosts.iter().all(|host| certificate.is_for(host)) {
            return Ok(());
        }
        let kept = certificate.hosts.into_iter().filter(|host| !hosts.contains(host));
        hosts.extend(kept.collect::<Vec<_>>());
    }
    issue(directory, &authority, hosts, now)
}

/// The certificate `NAME.crt`, whose key is `NAME.key`. `None` if one of them is missing.
fn pair(directory: &Path, name: &str) -> io::Result<Option<CertificateInfo>> {
    let (certificate, key) = (directory.join(format!("{name}.crt")), directory.join(format!("{name}.key")));
    if !certificate.try_exists()? || !key.try_exists()? {
        return Ok(None);
    }
    fs::set_permissions(&key, Permissions::from_mode(KEY_MODE))?;
    let tls = ServerTls::load(TlsOptions::new(certificate, key)).map_err(io::Error::other)?;
    Ok(Some(tls.certificate()))
}

fn days_left(certificate: &CertificateInfo, now: Timestamp) -> u32 {
    let days = certificate.not_after.since(now).as_secs() / DAY.as_secs();
    u32::try_from(days).unwrap_or(u32::MAX)
}

fn existing_authority(directory: &Path) -> io::Result<Issuer<'static, KeyPair>> {
    let key = fs::read_to_string(directory.join("ca.key"))?;
    let key = KeyPair::from_pem(&key).map_err(io::Error::other)?;
    Ok(Issuer::new(authority_params(&key), key))
}

fn new_authority(directory: &Path, now: Timestamp) -> io::Result<Issuer<'static, KeyPair>> {
    // The former certificates are useless with a new key, also if this process ends before it has issued the next one.
    for former in ["server.crt", "ca.crt"] {
        match fs::remove_file(directory.join(former)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let mut params = authority_params(&key);
    set_lifetime(&mut params, now, AUTHORITY_DAYS);
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    write(directory, "ca.key", &key.serialize_pem(), KEY_MODE)?;
    write(directory, "ca.crt", &certificate.pem(), CERTIFICATE_MODE)?;
    Ok(Issuer::new(params, key))
}

/// What certificates of the authority say of it. It is a function of the key, so that the file `ca.crt` is not parsed.
fn authority_params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    // Two authorities have different names: clients may find the wrong one by its name.
    let id: String = params.key_identifier(key).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, format!("jobstream dev CA {id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn issue(
    directory: &Path,
    authority: &Issuer<'static, KeyPair>,
    hosts: Vec<String>,
    now: Timestamp,
) -> io::Result<()> {
    let mut params = CertificateParams::new(hosts).map_err(io::Error::other)?;
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, "jobstream dev");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_lifetime(&mut params, now, SERVER_DAYS);
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = params.signed_by(&key, authority).map_err(io::Error::other)?;
    // A running server that reads them in between keeps the former pair until both are there.
    write(directory, "server.key", &key.serialize_pem(), KEY_MODE)?;
    write(directory, "server.crt", &certificate.pem(), CERTIFICATE_MODE)
}

/// From a day ago, for clients whose clocks are behind.
fn set_lifetime(params: &mut CertificateParams, now: Timestamp, days: u32) {
    let now = UNIX_EPOCH + Duration::from_micros(now.as_micros().unsigned_abs());
    let at = |time: SystemTime| time.into();
    params.not_before = at(now - DAY);
    params.not_after = at(now + DAY * days);
}

/// Writes a file by renaming another one, so that it is complete at any time.
fn write(directory: &Path, name: &str, content: &str, mode: u32) -> io::Result<()> {
    let incomplete = directory.join(format!("{name}.new"));
    match fs::remove_file(&incomplete) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&incomplete)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(incomplete, directory.join(name))
}
