-- A schema that only grew serves programs that were built before it: servers are replaced one by one.
-- A step that takes something away comes a release after the one that adds what replaces it, and names
-- here the first step that a program must know.
CREATE TABLE works_with(
  one    boolean PRIMARY KEY DEFAULT true CHECK (one),
  oldest bigint NOT NULL
);
INSERT INTO works_with VALUES (true, 4);
GRANT SELECT ON works_with TO minutebook_app, minutebook_auditor;
