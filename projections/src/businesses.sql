CREATE TABLE businesses(
  business INTEGER PRIMARY KEY, id BLOB NOT NULL, slug TEXT NOT NULL, name TEXT NOT NULL, idea TEXT, home_region TEXT NOT NULL,
  currency TEXT NOT NULL, owner BLOB NOT NULL, phase TEXT NOT NULL, registered_at INTEGER NOT NULL,
  -- Its number among the businesses with its id: it is the only one.
  n INTEGER NOT NULL GENERATED ALWAYS AS (0) VIRTUAL) STRICT;
CREATE TABLE phases(
  place INTEGER PRIMARY KEY, seq INTEGER NOT NULL GENERATED ALWAYS AS (place & 68719476735) VIRTUAL, phase TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
