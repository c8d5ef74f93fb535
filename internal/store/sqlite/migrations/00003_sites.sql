-- Sites keep the file that added them, and whether they drain.

-- +goose Up
ALTER TABLE sites ADD COLUMN spec      BLOB; -- NULL: this machine's, which has no file
ALTER TABLE sites ADD COLUMN spec_file TEXT    NOT NULL DEFAULT '';
ALTER TABLE sites ADD COLUMN draining  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sites ADD COLUMN added     INTEGER;
