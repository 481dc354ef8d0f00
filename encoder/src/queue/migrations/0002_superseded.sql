-- The title's version that a job did not take the place of.
ALTER TABLE jobs ADD COLUMN superseded_by TEXT;
