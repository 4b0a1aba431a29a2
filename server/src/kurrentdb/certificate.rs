//! The certificate of the business door: the stock clients send no password without TLS. Where none
//! is named, one is made that signs itself, for this machine's names, and stays in the data folder.

use std::io::Write as _;
use std::path::Path;

use kurrent_protocol::Tls;

use crate::app::AppError;
use crate::config::Config;

/// Value of the setting that turns TLS off.
const NONE: &str = "none";

/// The certificate that the settings name; `None` if TLS is off.
pub(super) fn of(config: &Config) -> Result<Option<Tls>, AppError> {
    let (certificate, key) = (config.kurrentdb_certificate.clone(), config.kurrentdb_key.clone());
    if certificate.as_os_str() == NONE {
        return Ok(None);
    }
    match (certificate.as_os_str().is_empty(), key.as_os_str().is_empty()) {
        (false, false) => Ok(Some(Tls { certificate, key })),
        (true, true) => own(&config.data, &config.kurrentdb_host).map(Some),
        (true, false) | (false, true) => Err(AppError::other(
            "settings: kurrentdb_certificate and kurrentdb_key belong together; name both, or \
             neither for one that signs itself",
        )),
    }
}

fn own(folder: &Path, host: &str) -> Result<Tls, AppError> {
    let tls = Tls {
        certificate: folder.join("kurrentdb-cert.pem"),
        key: folder.join("kurrentdb-key.pem"),
    };
    let names = ["localhost", "127.0.0.1", "::1", host]
        .iter()
        .filter(|n| !n.is_empty())
        .map(|n| (*n).to_owned())
        .collect::<Vec<_>>();
    // The names stand above it, as text: for others than these it is made anew.
    let head = format!("for {}\n", names.join(" "));
    if tls.key.exists()
        && std::fs::read_to_string(&tls.certificate).is_ok_and(|text| text.starts_with(&head))
    {
        return Ok(tls);
    }
    let made = rcgen::generate_simple_self_signed(names).map_err(failed)?;
    // The key first: a certificate without one would be taken for whole.
    secret(&tls.key, &made.signing_key.serialize_pem()).map_err(failed)?;
    std::fs::write(&tls.certificate, head + &made.cert.pem()).map_err(failed)?;
    Ok(tls)
}

fn failed(e: impl std::error::Error + Send + Sync + 'static) -> AppError {
    AppError::caused("a certificate could not be made", e)
}

/// Writes a file that only its owner may read.
fn secret(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file =
        std::fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
