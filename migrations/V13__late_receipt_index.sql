-- Each claim may leave a limited number of late receipts, so they are counted before another one is kept.
CREATE INDEX receipt_late ON receipt(task) WHERE late = 1;

PRAGMA user_version = 13;
