-- The state of the first release. Times are unix nanoseconds UTC (NULL: unset),
-- money is integer micro-units with a currency, rates are exact decimal text.

-- +goose Up
PRAGMA application_id = 1497453124; -- "YARD"

CREATE TABLE runs (
    seq        INTEGER PRIMARY KEY, -- order of insertion
    id         TEXT    NOT NULL UNIQUE CHECK (id <> ''),
    name       TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    project    TEXT    NOT NULL,
    priority   INTEGER NOT NULL,
    spec       BLOB    NOT NULL,
    spec_file  TEXT    NOT NULL,
    dir        TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    stop_asked INTEGER NOT NULL,
    stop_grace INTEGER NOT NULL, -- nanoseconds
    submitted  INTEGER,
    ended      INTEGER,
    not_before INTEGER,
    failures   INTEGER NOT NULL,
    exit_code  INTEGER NOT NULL,
    reason     TEXT    NOT NULL,
    submission TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX runs_submission ON runs (submission) WHERE submission <> '';
CREATE INDEX runs_submitted ON runs (submitted, seq);
CREATE INDEX runs_live ON runs (submitted, seq) WHERE state IN ('queued', 'running');

CREATE TABLE attempts (
    run               TEXT    NOT NULL REFERENCES runs (id),
    number            INTEGER NOT NULL,
    epoch             INTEGER NOT NULL,
    pool              TEXT    NOT NULL,
    site              TEXT    NOT NULL,
    nodes             INTEGER NOT NULL,
    ranks             INTEGER NOT NULL,
    cores             INTEGER NOT NULL,
    state             TEXT    NOT NULL,
    created           INTEGER,
    started           INTEGER,
    ended             INTEGER,
    exit_code         INTEGER NOT NULL,
    reason            TEXT    NOT NULL,
    metered           INTEGER,
    provider          TEXT    NOT NULL,
    chipmaker         TEXT    NOT NULL,
    chip              TEXT    NOT NULL,
    chips             INTEGER NOT NULL,
    rate              TEXT    NOT NULL,
    rate_currency     TEXT    NOT NULL,
    imputed           INTEGER NOT NULL,
    progress_at       INTEGER,
    step              INTEGER NOT NULL,
    steps             INTEGER NOT NULL,
    loss              REAL, -- NULL: not a number, which a diverged run reports
    tokens            INTEGER NOT NULL,
    tokens_per_second REAL,
    checkpoint_step   INTEGER NOT NULL,
    eval_loss         REAL,
    baseline_loss     REAL,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_live ON attempts (created) WHERE state IN ('recorded', 'running');

CREATE TABLE decisions (
    seq     INTEGER PRIMARY KEY, -- order of insertion
    run     TEXT NOT NULL REFERENCES runs (id),
    at      INTEGER,
    verb    TEXT NOT NULL,
    subject TEXT NOT NULL,
    reasons TEXT NOT NULL -- a JSON array of strings
) STRICT;
CREATE INDEX decisions_run ON decisions (run, seq);

CREATE TABLE entries (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    key           TEXT    NOT NULL UNIQUE CHECK (key <> ''),
    category      TEXT    NOT NULL,
    reverses      INTEGER REFERENCES entries (id),
    run           TEXT    NOT NULL,
    attempt       INTEGER NOT NULL,
    project       TEXT    NOT NULL,
    pool          TEXT    NOT NULL,
    provider      TEXT    NOT NULL,
    chipmaker     TEXT    NOT NULL,
    chip          TEXT    NOT NULL,
    span_from     INTEGER,
    span_to       INTEGER,
    nodes         INTEGER NOT NULL,
    chips         INTEGER NOT NULL,
    rate          TEXT    NOT NULL,
    rate_currency TEXT    NOT NULL,
    imputed       INTEGER NOT NULL,
    cost_micros   INTEGER NOT NULL,
    cost_currency TEXT    NOT NULL,
    booked        INTEGER,
    note          TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX entries_reverses ON entries (reverses) WHERE reverses IS NOT NULL;
CREATE INDEX entries_run ON entries (run);

-- +goose StatementBegin
CREATE TRIGGER entries_keep BEFORE UPDATE ON entries
BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only: an entry is never changed');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER entries_stay BEFORE DELETE ON entries
BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only: an entry is never deleted');
END;
-- +goose StatementEnd

CREATE TABLE sites (
    name   TEXT PRIMARY KEY NOT NULL CHECK (name <> ''),
    engine TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE quotas (
    project TEXT PRIMARY KEY NOT NULL,
    chips   INTEGER NOT NULL CHECK (chips >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    name  TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
