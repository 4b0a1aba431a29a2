-- The application owns nothing, and what it may destroy it destroys through functions that say how much.
-- Who may what is granted by roles of this database alone (grants.sql); a program that works in the roles
-- of the whole cluster, as those before did, is too old.
ALTER TABLE minutebook_keys.keys OWNER TO CURRENT_USER;
-- A destroyed key leaves its old row version, wrapped, in the file: one is enough to have it vacuumed away at
-- the next look, within a minute.
ALTER TABLE minutebook_keys.keys SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0);

-- Until now attempts had keys as they were sent.
UPDATE attempts SET key = '' WHERE length(key) <> 64;

CREATE TABLE attempt_caps(
  one           boolean PRIMARY KEY DEFAULT true CHECK (one),
  per_business  bigint NOT NULL,     -- newest that are kept of each business, accepted and refused apart
  per_principal bigint NOT NULL,     -- newest that are kept of what one principal was refused there
  age_micros    bigint NOT NULL      -- how much older than the newest they may be
);

CREATE FUNCTION prune_attempts(of_business uuid) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = minutebook, pg_temp AS $$
  DELETE FROM attempts WHERE n IN (
    SELECT n FROM (
      SELECT n, refused, row_number() OVER (PARTITION BY refused ORDER BY n DESC) AS of_all,
             row_number() OVER (PARTITION BY actor, refused ORDER BY n DESC) AS of_actor
      FROM (SELECT n, actor, outcome <> 'accepted' AS refused FROM attempts WHERE business = of_business) a) b, attempt_caps c
    WHERE of_all > c.per_business OR (refused AND of_actor > c.per_principal))
$$;
CREATE FUNCTION prune_old_attempts() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = minutebook, pg_temp AS $$
  -- By our clock: one attempt that says it is of the next century pushes out no other.
  DELETE FROM attempts USING attempt_caps c
  WHERE at < (SELECT max(a.at) FROM attempts a WHERE a.at <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + 60000000) - c.age_micros
$$;

CREATE FUNCTION minutebook_keys.destroy_keys(of_business uuid, of_subject uuid, up_to int) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = minutebook_keys, pg_temp AS $$
  WITH gone AS (UPDATE keys SET nonce = NULL, wrapped = NULL
                WHERE business = of_business AND subject = of_subject AND generation <= up_to AND wrapped IS NOT NULL RETURNING 1),
       epoch AS (UPDATE epoch SET n = n + 1)
  SELECT count(*) FROM gone
$$;
CREATE FUNCTION minutebook_keys.next_epoch() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = minutebook_keys, pg_temp AS $$
  UPDATE epoch SET n = n + 1
$$;
-- Another keyring may come only where there is no key yet.
CREATE FUNCTION minutebook_keys.put_wrapping(new_salt bytea, new_nonce bytea, new_proof bytea) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = minutebook_keys, pg_temp AS $$
  INSERT INTO wrapping(salt, nonce, proof) VALUES (new_salt, new_nonce, new_proof)
  ON CONFLICT (one) DO UPDATE SET salt = excluded.salt, nonce = excluded.nonce, proof = excluded.proof
  WHERE NOT EXISTS (SELECT 1 FROM keys)
$$;
REVOKE ALL ON FUNCTION prune_attempts, prune_old_attempts FROM PUBLIC;
REVOKE ALL ON FUNCTION minutebook_keys.destroy_keys, minutebook_keys.next_epoch, minutebook_keys.put_wrapping FROM PUBLIC;
UPDATE works_with SET oldest = 6;
