-- What spares a write its work: titles are indexed for search some time after they are written,
-- as receipts are, and a task without dependencies says so in its row.

ALTER TABLE task ADD COLUMN needs INTEGER NOT NULL DEFAULT 0; -- dependencies, hard and soft
UPDATE task SET needs = (SELECT count(*) FROM dependency d WHERE d.task = task.n)
 WHERE n IN (SELECT task FROM dependency);

ALTER TABLE indexed ADD COLUMN task INTEGER NOT NULL DEFAULT 0;
UPDATE indexed SET task = (SELECT ifnull(max(n), 0) FROM task);

PRAGMA user_version = 2;
