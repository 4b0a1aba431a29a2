-- Who may what, said anew by every `migrate`: so it also repairs what a restore left without owners and
-- grants. {app}, {keys} and {auditor} are roles of this database alone.
DO $$
DECLARE
  name text;
  r    record;
BEGIN
  FOREACH name IN ARRAY ARRAY['{app}', '{keys}', '{auditor}'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', name);
    END IF;
    IF NOT pg_has_role(current_user, name, 'MEMBER') THEN
      EXECUTE format('GRANT %I TO CURRENT_USER', name);
    END IF;
  END LOOP;
  FOR r IN
    SELECT format('ALTER %s %s OWNER TO CURRENT_USER', CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, c.oid::regclass) AS command
    FROM pg_class c WHERE c.relnamespace IN ('minutebook'::regnamespace, 'minutebook_keys'::regnamespace) AND c.relkind IN ('r', 'v')
      AND pg_get_userbyid(c.relowner) <> current_user
    UNION ALL
    SELECT format('ALTER FUNCTION %s OWNER TO CURRENT_USER', p.oid::regprocedure)
    FROM pg_proc p WHERE p.pronamespace IN ('minutebook'::regnamespace, 'minutebook_keys'::regnamespace) AND pg_get_userbyid(p.proowner) <> current_user
  LOOP
    EXECUTE r.command;
  END LOOP;
  -- The roles of the whole cluster, which earlier steps granted to, lose what they had here.
  FOREACH name IN ARRAY ARRAY['public', 'minutebook_app', 'minutebook_keys', 'minutebook_auditor', '{app}', '{keys}', '{auditor}'] LOOP
    IF name = 'public' OR EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
      EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA minutebook, minutebook_keys FROM %s', CASE name WHEN 'public' THEN 'PUBLIC' ELSE quote_ident(name) END);
      EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA minutebook, minutebook_keys FROM %s', CASE name WHEN 'public' THEN 'PUBLIC' ELSE quote_ident(name) END);
      EXECUTE format('REVOKE ALL ON SCHEMA minutebook, minutebook_keys FROM %s', CASE name WHEN 'public' THEN 'PUBLIC' ELSE quote_ident(name) END);
    END IF;
  END LOOP;
END $$;
GRANT USAGE ON SCHEMA minutebook TO "{app}", "{auditor}";
GRANT SELECT ON minutebook.log, minutebook.events, minutebook.heads, minutebook.es_events, minutebook._sqlx_migrations, minutebook.works_with,
  minutebook.attempts, minutebook.consumers TO "{app}", "{auditor}";
GRANT EXECUTE ON FUNCTION minutebook.as_json TO "{app}", "{auditor}";
GRANT EXECUTE ON FUNCTION minutebook.append, minutebook.prune_attempts, minutebook.prune_old_attempts TO "{app}";
GRANT INSERT ON minutebook.attempts TO "{app}";
-- Places of consumers are theirs to move.
GRANT INSERT, UPDATE ON minutebook.consumers TO "{app}";
GRANT USAGE ON SCHEMA minutebook_keys TO "{keys}";
GRANT SELECT, INSERT ON minutebook_keys.keys, minutebook_keys.wrapping TO "{keys}";
GRANT SELECT ON minutebook_keys.epoch TO "{keys}";
GRANT SELECT, INSERT, UPDATE ON minutebook_keys.applied TO "{keys}";
GRANT EXECUTE ON FUNCTION minutebook_keys.destroy_keys, minutebook_keys.next_epoch, minutebook_keys.put_wrapping TO "{keys}";
INSERT INTO minutebook.attempt_caps VALUES (true, {per_business}, {per_principal}, {age_micros}) ON CONFLICT (one) DO NOTHING;
