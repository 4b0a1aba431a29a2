//! The key that signs checkpoints.

use domain::ids::INSTALLATION;
use event_log::{Entropy, Keyring};
use proof::checkpoint::Signer;
use sha2::{Digest as _, Sha256};

use crate::app::AppError;
use crate::config::Config;

/// The signer of the installation's checkpoints: a key in the keyring's store, the same for every
/// server of a log, or one in a file that the settings name. The signer's name holds the key's
/// digest, so no two installations share one.
pub(crate) async fn signer(config: &Config, keyring: &dyn Keyring) -> Result<Signer, AppError> {
    let own = config.data.join("signing.key");
    let seed = if config.signing_key_file.as_os_str().is_empty() {
        if own.exists() {
            // An earlier version's: the first server that comes gives it to all of them.
            keyring
                .adopt_secret(
                    INSTALLATION,
                    domain::privacy::signing_key(),
                    event_log::keyring::secret_file(&own, &Entropy::System)?,
                )
                .await?;
        }
        keyring.secret(INSTALLATION, domain::privacy::signing_key()).await?
    } else {
        event_log::keyring::secret_file(&config.signing_key_file, &Entropy::System)?
    };
    let public = Signer::new("minutebook.local", &seed).verifier().to_string();
    let digest = domain::values::Digest(Sha256::digest(public.as_bytes()).into()).to_string();
    Ok(Signer::new(&format!("minutebook.local/{}", digest.get(..16).unwrap_or(&digest)), &seed))
}
