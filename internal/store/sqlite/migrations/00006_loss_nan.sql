-- The step since which an attempt reports a loss that is not a number.

-- +goose Up
ALTER TABLE attempts ADD COLUMN loss_nan_since INTEGER NOT NULL DEFAULT 0; -- 0: it is a number
