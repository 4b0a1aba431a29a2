//! Reads and writes the whole keyring at once, for copying an installation.

use super::{DESTROY, asked, nonce, stored};
use domain::personal::Generation;
use event_log::keyring::KeyringError;
use event_log::keyring::wrapping::{Chest, ChestKey, Proof};
use sqlx::Executor as _;
use sqlx::postgres::PgPool;
use uuid::Uuid;

pub(super) async fn pool(url: &str) -> Result<PgPool, KeyringError> {
    let options = crate::options(url, Some("keys")).map_err(KeyringError::storage)?;
    asked(crate::pool_of(4).connect_with(options)).await
}

/// Reads the whole keyring of a database, still wrapped.
///
/// # Errors
/// If the keyring can't be read.
pub async fn chest(url: &str) -> Result<Chest, KeyringError> {
    let pool = pool(url).await?;
    let proof: Option<(Vec<u8>, Vec<u8>, Vec<u8>)> = asked(
        sqlx::query_as("SELECT salt, nonce, proof FROM minutebook_keys.wrapping")
            .fetch_optional(&pool),
    )
    .await?;
    let proof = proof
        .map(|(salt, n, proof)| Ok::<_, KeyringError>(Proof { salt, nonce: nonce(&n)?, proof }))
        .transpose()?;
    type Row = (Uuid, Uuid, i32, Option<Vec<u8>>, Option<Vec<u8>>);
    let rows: Vec<Row> = asked(
        sqlx::query_as(
            "SELECT business, subject, generation, nonce, wrapped FROM minutebook_keys.keys",
        )
        .fetch_all(&pool),
    )
    .await?;
    pool.close().await;
    let key = |(business, subject, generation, nonce, wrapped): Row| ChestKey {
        business,
        subject,
        generation: Generation(u32::try_from(generation).unwrap_or(0)),
        nonce,
        wrapped,
    };
    Ok(Chest { proof, keys: rows.into_iter().map(key).collect() })
}

/// Writes a whole keyring into a database; a key that is destroyed on either side stays destroyed.
///
/// # Errors
/// If the database has another keyring, or can't be written.
pub async fn put_chest(url: &str, moved: &Chest) -> Result<(), KeyringError> {
    moved.may_replace(&chest(url).await?)?;
    let pool = pool(url).await?;
    let mut tx = asked(pool.begin()).await?;
    if let Some(proof) = &moved.proof {
        let sql = "SELECT minutebook_keys.put_wrapping($1, $2, $3)";
        asked(
            sqlx::query(sql)
                .bind(&proof.salt)
                .bind(proof.nonce.to_vec())
                .bind(&proof.proof)
                .execute(&mut *tx),
        )
        .await?;
    }
    let sql = "INSERT INTO minutebook_keys.keys SELECT * FROM unnest($1::uuid[], $2::uuid[], \
        $3::int[], $4::bytea[], $5::bytea[])
               ON CONFLICT DO NOTHING";
    for part in moved.keys.chunks(1_000) {
        let query = sqlx::query(sql)
            .bind(part.iter().map(|k| k.business).collect::<Vec<_>>())
            .bind(part.iter().map(|k| k.subject).collect::<Vec<_>>())
            .bind(part.iter().map(|k| super::stored(k.generation)).collect::<Vec<_>>())
            .bind(part.iter().map(|k| k.nonce.clone()).collect::<Vec<_>>())
            .bind(part.iter().map(|k| k.wrapped.clone()).collect::<Vec<_>>());
        asked(query.execute(&mut *tx)).await?;
    }
    // What is destroyed at the source is destroyed here too.
    for key in moved.keys.iter().filter(|key| key.wrapped.is_none()) {
        let query = sqlx::query(DESTROY);
        asked(
            query
                .bind(key.business)
                .bind(key.subject)
                .bind(stored(key.generation))
                .execute(&mut *tx),
        )
        .await?;
    }
    asked(tx.execute("SELECT minutebook_keys.next_epoch()")).await?;
    asked(tx.commit()).await?;
    asked(pool.execute("VACUUM minutebook_keys.keys")).await?;
    pool.close().await;
    Ok(())
}
