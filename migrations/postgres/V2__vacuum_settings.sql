-- Settings for large tables and for short waits. They change no data.

-- With PostgreSQL's default, a table is vacuumed when a fifth of its rows were updated or deleted: 20 million of 100 million
-- items. A fiftieth keeps the free space small and each vacuum short.
ALTER TABLE task    SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE chunk   SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE batch   SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE item    SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
-- Rows that are only inserted are vacuumed to be frozen. Small shares spread that work.
ALTER TABLE receipt SET (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE batch_receipt SET (autovacuum_vacuum_insert_scale_factor = 0.05);

-- New words wait in a list, which the writer that fills it moves into the index while all others wait for it. The default of
-- 4 MB took about 300 ms on a busy machine; 256 kB take about 40 ms.
ALTER INDEX task_by_words    SET (gin_pending_list_limit = 256);
ALTER INDEX receipt_by_words SET (gin_pending_list_limit = 256);

UPDATE schema_version SET version = 2;
