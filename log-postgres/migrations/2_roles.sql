-- Keys lie in a schema of their own, behind a role of their own: there, and nowhere else, something
-- may be destroyed.
CREATE SCHEMA minutebook_keys;
CREATE TABLE minutebook_keys.wrapping(
  one   boolean PRIMARY KEY DEFAULT true CHECK (one),
  salt  bytea NOT NULL,
  nonce bytea NOT NULL,
  proof bytea NOT NULL
);
CREATE TABLE minutebook_keys.keys(
  business   uuid NOT NULL,
  subject    uuid NOT NULL,
  generation int  NOT NULL,
  nonce      bytea,                 -- both NULL once destroyed
  wrapped    bytea,
  PRIMARY KEY (business, subject, generation)
);
-- Goes up with every destroyed key: what a process remembers of keys is good for one number.
CREATE TABLE minutebook_keys.epoch(one boolean PRIMARY KEY DEFAULT true CHECK (one), n bigint NOT NULL);
INSERT INTO minutebook_keys.epoch VALUES (true, 0);

DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['minutebook_app', 'minutebook_keys', 'minutebook_auditor'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', name);
    END IF;
    EXECUTE format('GRANT %I TO CURRENT_USER', name);
  END LOOP;
END $$;

REVOKE ALL ON ALL TABLES IN SCHEMA minutebook FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA minutebook FROM PUBLIC;
GRANT USAGE ON SCHEMA minutebook TO minutebook_app, minutebook_auditor;
GRANT SELECT ON log, events, heads, es_events, _sqlx_migrations TO minutebook_app, minutebook_auditor;
GRANT EXECUTE ON FUNCTION as_json TO minutebook_app, minutebook_auditor;
GRANT EXECUTE ON FUNCTION append TO minutebook_app;
GRANT SELECT, INSERT, DELETE ON attempts TO minutebook_app;
GRANT SELECT ON attempts, consumers TO minutebook_auditor;
GRANT SELECT, INSERT, UPDATE ON consumers TO minutebook_app;
GRANT USAGE ON SCHEMA minutebook_keys TO minutebook_keys;
GRANT SELECT, INSERT, UPDATE ON minutebook_keys.wrapping TO minutebook_keys;
GRANT SELECT, UPDATE ON minutebook_keys.epoch TO minutebook_keys;
-- Its owner: a destroyed key is vacuumed away at once.
GRANT CREATE ON SCHEMA minutebook_keys TO minutebook_keys;
ALTER TABLE minutebook_keys.keys OWNER TO minutebook_keys;
REVOKE CREATE ON SCHEMA minutebook_keys FROM minutebook_keys;
