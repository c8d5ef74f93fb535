-- Runs that move: where to, what a trial run measures, where an attempt kept
-- its checkpoints, and the node that its end is due to.

-- +goose Up
ALTER TABLE runs ADD COLUMN target TEXT NOT NULL DEFAULT ''; -- SITE or SITE/POOL
ALTER TABLE runs ADD COLUMN trial  TEXT NOT NULL DEFAULT ''; -- JSON; '' for a run that is none

ALTER TABLE attempts ADD COLUMN checkpoint_store TEXT NOT NULL DEFAULT ''; -- URL
ALTER TABLE attempts ADD COLUMN bad_node         TEXT NOT NULL DEFAULT '';

CREATE INDEX decisions_verb ON decisions (verb, at);
