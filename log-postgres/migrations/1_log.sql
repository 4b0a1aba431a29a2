-- The log of an installation. Nobody but the owner of this schema can write here: the application
-- may read, and call append().
CREATE TABLE log(
  one      boolean PRIMARY KEY DEFAULT true CHECK (one),
  position bigint NOT NULL          -- of the last event; whoever holds this row's lock gives the next
);
INSERT INTO log VALUES (true, 0);

CREATE TABLE events(
  position bigint PRIMARY KEY,      -- place in the whole log
  business uuid   NOT NULL,
  seq      bigint NOT NULL,         -- place in the business, dense
  kind     text   NOT NULL,
  id       uuid   NOT NULL,
  version  bigint NOT NULL,         -- place in the aggregate, dense
  event_id uuid   NOT NULL,
  leaf     bytea  NOT NULL,         -- SHA-256(0x00 || bytes)
  bytes    bytea  NOT NULL          -- the truth
);
CREATE UNIQUE INDEX events_by_seq ON events(business, seq);
CREATE UNIQUE INDEX events_by_aggregate ON events(business, id, kind, version);
CREATE UNIQUE INDEX events_by_id ON events(event_id);

-- The end of each stream, written in the transaction of the append.
CREATE TABLE heads(
  business uuid   PRIMARY KEY,
  seq      bigint NOT NULL,
  frontier bytea  NOT NULL          -- roots of the full subtrees, largest first
) WITH (fillfactor = 60);

-- Stores a batch of appends, or nothing and says what is not as the caller thinks. VOLATILE in READ
-- COMMITTED: its first statement waits for the lock, and each later one sees what was committed
-- before it got it. One call, one transaction: a caller that is stopped holds no lock.
--   h_*: the streams, the frontier each was thought to have, and the one it gets.
--   g_*: the aggregates that were read or are written to, and the version each was thought to have.
--   e_*: the events, in their order.
CREATE FUNCTION append(
  h_business uuid[], h_seq bigint[], h_frontier bytea[], h_next_seq bigint[], h_next_frontier bytea[],
  g_business uuid[], g_kind text[], g_id uuid[], g_version bigint[],
  e_business uuid[], e_seq bigint[], e_kind text[], e_id uuid[], e_version bigint[], e_event_id uuid[], e_leaf bytea[], e_bytes bytea[])
RETURNS TABLE(what text, i bigint, n bigint, m bigint, b bytea)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = minutebook, pg_temp AS $$
DECLARE
  last    bigint;
  refused boolean := false;
BEGIN
  SELECT l.position INTO last FROM log l FOR UPDATE;
  RETURN QUERY
    SELECT 'id', x.i, e.seq, e.position, e.bytes
    FROM unnest(e_event_id) WITH ORDINALITY x(event_id, i) JOIN events e ON e.event_id = x.event_id;
  refused := refused OR FOUND;
  RETURN QUERY
    SELECT 'version', x.i, v.version, 0::bigint, NULL::bytea
    FROM unnest(g_business, g_kind, g_id, g_version) WITH ORDINALITY x(business, kind, id, version, i)
    CROSS JOIN LATERAL (SELECT coalesce(max(e.version), 0) AS version FROM events e
                        WHERE e.business = x.business AND e.id = x.id AND e.kind = x.kind) v
    WHERE v.version <> x.version;
  refused := refused OR FOUND;
  RETURN QUERY
    SELECT 'head', x.i, coalesce(h.seq, 0), 0::bigint, coalesce(h.frontier, ''::bytea)
    FROM unnest(h_business, h_seq, h_frontier) WITH ORDINALITY x(business, seq, frontier, i)
    LEFT JOIN heads h ON h.business = x.business
    WHERE coalesce(h.seq, 0) <> x.seq OR coalesce(h.frontier, ''::bytea) <> x.frontier;
  refused := refused OR FOUND;
  IF refused THEN
    RETURN;
  END IF;
  INSERT INTO events
    SELECT last + x.i, x.business, x.seq, x.kind, x.id, x.version, x.event_id, x.leaf, x.bytes
    FROM unnest(e_business, e_seq, e_kind, e_id, e_version, e_event_id, e_leaf, e_bytes) WITH ORDINALITY
      x(business, seq, kind, id, version, event_id, leaf, bytes, i);
  INSERT INTO heads
    SELECT x.business, x.seq, x.frontier FROM unnest(h_business, h_next_seq, h_next_frontier) x(business, seq, frontier)
    ON CONFLICT (business) DO UPDATE SET seq = excluded.seq, frontier = excluded.frontier;
  last := last + cardinality(e_event_id);
  UPDATE log SET position = last;
  PERFORM pg_notify('minutebook', last::text);
  RETURN QUERY SELECT 'done', 0::bigint, last, 0::bigint, NULL::bytea;
END $$;

-- The log in the shape of postgres-es 0.5, whose readers and tools can follow it.
CREATE FUNCTION as_json(bytes bytea) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT convert_from(bytes, 'UTF8')::json $$;
CREATE VIEW es_events AS
  SELECT kind AS aggregate_type, business::text || '/' || id::text AS aggregate_id, version AS sequence, (as_json(bytes) ->> 'type') AS event_type,
         (as_json(bytes) ->> 'schema') AS event_version, as_json(bytes) AS payload, '{}'::json AS metadata
  FROM events;
CREATE INDEX events_by_es ON events((kind), ((business::text || '/' || id::text)), version);

-- Who tried what, beside the log.
CREATE TABLE attempts(
  n            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at           bigint NOT NULL,     -- microseconds since 1970
  business     uuid   NOT NULL,
  actor        uuid   NOT NULL,
  command_type text   NOT NULL,
  target       uuid,
  key          text   NOT NULL,
  outcome      text   NOT NULL
);
CREATE INDEX attempts_by_business ON attempts(business, n);

-- Places of those who act on events, fenced by an epoch.
CREATE TABLE consumers(
  name        text        PRIMARY KEY,
  position    bigint      NOT NULL DEFAULT 0,
  epoch       bigint      NOT NULL DEFAULT 0,
  owner       uuid,
  lease_until timestamptz NOT NULL DEFAULT '-infinity',
  paused      boolean     NOT NULL DEFAULT false
);
