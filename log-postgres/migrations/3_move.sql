-- A batch whose streams have moved on meanwhile is moved along under the lock, instead of being sent
-- back: two servers that write to one business can't keep one another from ever storing. Parameters
-- stand in another order than before, so that a server that still runs an older program is refused.
DROP FUNCTION append(uuid[], bigint[], bytea[], bigint[], bytea[], uuid[], text[], uuid[], bigint[], uuid[], bigint[], text[], uuid[], bigint[], uuid[], bytea[], bytea[]);

-- The end of a tree of `size` leaves with one more on the right (RFC 6962, section 2.1), as
-- proof/src/tree.rs has it: the roots of the full subtrees, largest first.
CREATE FUNCTION grown(size bigint, frontier bytea, leaf bytea) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  WHILE size & 1 = 1 LOOP
    leaf := sha256('\x01'::bytea || substr(frontier, length(frontier) - 31) || leaf);
    frontier := substr(frontier, 1, length(frontier) - 32);
    size := size >> 1;
  END LOOP;
  RETURN frontier || leaf;
END $$;
REVOKE ALL ON FUNCTION grown FROM PUBLIC;

-- Stores a batch of appends, or nothing and says what is not as the caller thinks. VOLATILE in READ
-- COMMITTED: its first statement waits for the lock, and each later one sees what was committed
-- before it got it. One call, one transaction: a caller that is stopped holds no lock.
--   k_epoch: the epoch of the keys that fields were sealed under; NULL when nothing is sealed.
--   h_*: the streams, the end each was thought to have, and the one it gets.
--   g_*: the aggregates that were read or are written to, and the version each was thought to have.
--   e_*: the events, in their order; e_head says which of the streams.
-- Says what it found: `id` (stored already), `version` (another one), `keys` (some were destroyed
-- since), `head` (no end of a tree), each of which stores nothing; else `moved` for each stream that
-- ends elsewhere than thought, and `done`.
CREATE FUNCTION append(
  k_epoch bigint,
  h_business uuid[], h_seq bigint[], h_next_seq bigint[], h_frontier bytea[], h_next_frontier bytea[],
  g_business uuid[], g_kind text[], g_id uuid[], g_version bigint[],
  e_head bigint[], e_seq bigint[], e_kind text[], e_id uuid[], e_version bigint[], e_event_id uuid[], e_leaf bytea[], e_bytes bytea[])
RETURNS TABLE(what text, i bigint, n bigint, m bigint, b bytea)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = minutebook, pg_temp
-- A plan is made once a connection, maybe while the tables are empty, and must be good when they are not:
-- everything by its index.
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  last    bigint;
  refused boolean := false;
  moved   bigint[] := '{}';
  epoch   bigint;
  r       record;
  h       bigint;
BEGIN
  SELECT l.position INTO last FROM log l WHERE l.one FOR UPDATE;
  RETURN QUERY
    SELECT 'id', x.i, e.seq, e.position, e.bytes
    FROM unnest(e_event_id) WITH ORDINALITY x(event_id, i) JOIN events e ON e.event_id = x.event_id;
  refused := refused OR FOUND;
  RETURN QUERY
    SELECT 'version', x.i, v.version, 0::bigint, NULL::bytea
    FROM unnest(g_business, g_kind, g_id, g_version) WITH ORDINALITY x(business, kind, id, version, i)
    CROSS JOIN LATERAL (SELECT coalesce((SELECT e.version FROM events e WHERE e.business = x.business AND e.id = x.id AND e.kind = x.kind
                                         ORDER BY e.business DESC, e.id DESC, e.kind DESC, e.version DESC LIMIT 1), 0) AS version) v
    WHERE v.version <> x.version;
  refused := refused OR FOUND;
  IF k_epoch IS NOT NULL THEN
    -- Held to the commit: keys are destroyed before it or after it.
    SELECT k.n INTO epoch FROM minutebook_keys.epoch k WHERE k.one FOR SHARE;
    IF epoch <> k_epoch THEN
      RETURN QUERY SELECT 'keys', 0::bigint, epoch, 0::bigint, NULL::bytea;
      refused := true;
    END IF;
  END IF;
  FOR r IN
    SELECT x.i, coalesce(t.seq, 0) AS seq, coalesce(t.frontier, ''::bytea) AS frontier
    FROM unnest(h_business, h_seq, h_frontier) WITH ORDINALITY x(business, seq, frontier, i)
    LEFT JOIN heads t ON t.business = x.business
    WHERE coalesce(t.seq, 0) <> x.seq OR coalesce(t.frontier, ''::bytea) <> x.frontier
  LOOP
    -- One hash per set bit: a head that is no end of a tree is not built upon.
    IF r.seq < 0 OR length(r.frontier) <> 32 * bit_count(int8send(r.seq)) THEN
      RETURN QUERY SELECT 'head', r.i, r.seq, 0::bigint, r.frontier;
      refused := true;
    END IF;
    h_next_seq[r.i] := r.seq;
    h_next_frontier[r.i] := r.frontier;
    moved := moved || r.i;
  END LOOP;
  IF refused THEN
    RETURN;
  END IF;
  IF moved <> '{}' THEN
    FOR k IN 1 .. cardinality(e_head) LOOP
      h := e_head[k];
      IF h = ANY (moved) THEN
        h_next_frontier[h] := grown(h_next_seq[h], h_next_frontier[h], e_leaf[k]);
        h_next_seq[h] := h_next_seq[h] + 1;
        e_seq[k] := h_next_seq[h];
      END IF;
    END LOOP;
    RETURN QUERY SELECT 'moved', x.h, h_next_seq[x.h], 0::bigint, h_next_frontier[x.h] FROM unnest(moved) x(h);
  END IF;
  INSERT INTO events
    SELECT last + x.i, h_business[x.head], x.seq, x.kind, x.id, x.version, x.event_id, x.leaf, x.bytes
    FROM unnest(e_head, e_seq, e_kind, e_id, e_version, e_event_id, e_leaf, e_bytes) WITH ORDINALITY
      x(head, seq, kind, id, version, event_id, leaf, bytes, i);
  INSERT INTO heads
    SELECT x.business, x.seq, x.frontier FROM unnest(h_business, h_next_seq, h_next_frontier) x(business, seq, frontier)
    ON CONFLICT (business) DO UPDATE SET seq = excluded.seq, frontier = excluded.frontier;
  last := last + cardinality(e_event_id);
  UPDATE log SET position = last;
  PERFORM pg_notify('minutebook', last::text);
  RETURN QUERY SELECT 'done', 0::bigint, last, 0::bigint, NULL::bytea;
END $$;
REVOKE ALL ON FUNCTION append FROM PUBLIC;
GRANT EXECUTE ON FUNCTION append TO minutebook_app;

-- No column is ever NULL: postgres-es panics at one, whatever somebody did to the bytes.
CREATE OR REPLACE VIEW es_events AS
  SELECT kind AS aggregate_type, business::text || '/' || id::text AS aggregate_id, version AS sequence, coalesce(as_json(bytes) ->> 'type', '') AS event_type,
         coalesce(as_json(bytes) ->> 'schema', '') AS event_version, as_json(bytes) AS payload, '{}'::json AS metadata
  FROM events;
