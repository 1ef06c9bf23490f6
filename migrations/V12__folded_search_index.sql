-- The search index holds folded text: words are separated and folded by the program, and the tokenizer only splits at
-- what the program writes between them. The index is filled again by the next searches.
DROP TABLE task_text;
DROP TABLE receipt_text;
CREATE VIRTUAL TABLE task_text USING fts5(title, initial_text, content='', contentless_delete=1, tokenize='ascii');
CREATE VIRTUAL TABLE receipt_text USING fts5(text, content='', contentless_delete=1, tokenize='ascii');
UPDATE search_progress SET last_task = 0, last_receipt = 0;

PRAGMA user_version = 12;
