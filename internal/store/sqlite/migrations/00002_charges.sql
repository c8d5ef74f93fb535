-- What contracts make of use: charges beside the use in the ledger, and what
-- billing remembers from one settling to the next.

-- +goose Up
ALTER TABLE attempts ADD COLUMN region          TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN instance_type   TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN purchase_option TEXT NOT NULL DEFAULT '';

ALTER TABLE entries ADD COLUMN region           TEXT    NOT NULL DEFAULT '';
ALTER TABLE entries ADD COLUMN instance_type    TEXT    NOT NULL DEFAULT '';
ALTER TABLE entries ADD COLUMN purchase_option  TEXT    NOT NULL DEFAULT '';
ALTER TABLE entries ADD COLUMN contract         TEXT    NOT NULL DEFAULT '';
ALTER TABLE entries ADD COLUMN clause           TEXT    NOT NULL DEFAULT '';
ALTER TABLE entries ADD COLUMN clause_kind      TEXT    NOT NULL DEFAULT '';
ALTER TABLE entries ADD COLUMN charge           TEXT    NOT NULL DEFAULT '';
ALTER TABLE entries ADD COLUMN quantity         TEXT    NOT NULL DEFAULT ''; -- exact: a whole number or a fraction
ALTER TABLE entries ADD COLUMN list_micros      INTEGER NOT NULL DEFAULT 0;  -- in cost_currency
ALTER TABLE entries ADD COLUMN effective_micros INTEGER NOT NULL DEFAULT 0;  -- in cost_currency
CREATE INDEX entries_span ON entries (span_from);

CREATE TABLE blobs (
    name TEXT PRIMARY KEY NOT NULL CHECK (name <> ''),
    data BLOB NOT NULL
) STRICT, WITHOUT ROWID;
