//! Finds numbers and titles that no operation stores: a program that writes to the file or edits an export can. A change number
//! at the end of its range would refuse every later write.

/// The queries for what is out of its range in a table: the id, and the column with its value and what is allowed. The
/// ranges are those of the types in `model::limits`; counters end where JSON numbers are no longer exact.
pub(super) const OUT_OF_RANGE: [&str; 3] = [
    "SELECT * FROM (SELECT id, CASE
              WHEN change_number NOT BETWEEN 0 AND 9007199254740991
                  THEN 'change_number is ' || change_number || ', allowed: 0 to 9007199254740991'
              WHEN status_changed NOT BETWEEN 0 AND 9007199254740991
                  THEN 'status_changed is ' || status_changed || ', allowed: 0 to 9007199254740991'
              WHEN generation NOT BETWEEN 0 AND 9007199254740991
                  THEN 'generation is ' || generation || ', allowed: 0 to 9007199254740991'
              WHEN receipt_count NOT BETWEEN 0 AND 9007199254740991
                  THEN 'receipt_count is ' || receipt_count || ', allowed: 0 to 9007199254740991'
              WHEN priority NOT BETWEEN 0 AND 4 THEN 'priority is ' || priority || ', allowed: 0 to 4'
              WHEN lease_seconds NOT BETWEEN 1 AND 86400
                  THEN 'lease_seconds is ' || lease_seconds || ', allowed: 1 to 86400'
              WHEN octet_length(title) > 1000 AND role <> 'chunk'
                  THEN 'title has ' || octet_length(title) || ' bytes, allowed: 1000'
              WHEN octet_length(title) > 4000
                  THEN 'title has ' || octet_length(title) || ' bytes, allowed: 4000'
            END AS problem
       FROM task) checked WHERE problem IS NOT NULL LIMIT 1",
    "SELECT * FROM (SELECT t.id, CASE
              WHEN b.max_chunk NOT BETWEEN 1 AND 10000
                  THEN 'max_chunk is ' || b.max_chunk || ', allowed: 1 to 10000'
              WHEN b.max_parallel NOT BETWEEN 1 AND 64
                  THEN 'max_parallel is ' || b.max_parallel || ', allowed: 1 to 64'
              WHEN b.max_attempts NOT BETWEEN 1 AND 100
                  THEN 'max_attempts is ' || b.max_attempts || ', allowed: 1 to 100'
              WHEN b.auto_approve_after NOT BETWEEN 0 AND 9007199254740991
                  THEN 'auto_approve_after is ' || b.auto_approve_after || ', allowed: 0 to 9007199254740991'
            END AS problem
       FROM batch b JOIN task t ON t.row_id = b.task) checked WHERE problem IS NOT NULL LIMIT 1",
    "SELECT * FROM (SELECT t.id, CASE
              WHEN c.number NOT BETWEEN 1 AND 9007199254740991
                  THEN 'number is ' || c.number || ', allowed: 1 to 9007199254740991'
              WHEN c.attempts NOT BETWEEN 0 AND 9007199254740991
                  THEN 'attempts is ' || c.attempts || ', allowed: 0 to 9007199254740991'
              WHEN c.step_index NOT BETWEEN 0 AND 1000
                  THEN 'step_index is ' || c.step_index || ', allowed: 0 to 1000'
            END AS problem
       FROM chunk c JOIN task t ON t.row_id = c.task) checked WHERE problem IS NOT NULL LIMIT 1",
];
