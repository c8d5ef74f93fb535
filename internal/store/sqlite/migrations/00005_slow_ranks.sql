-- Ranks that are, or were, slower than the others of their attempt.

-- +goose Up
ALTER TABLE attempts ADD COLUMN slow TEXT NOT NULL DEFAULT ''; -- JSON; '' for none
