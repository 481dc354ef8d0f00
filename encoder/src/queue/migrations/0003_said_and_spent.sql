-- What is said of a source's sounds, and texts beside it: JSON lists of text.
ALTER TABLE jobs ADD COLUMN audio TEXT NOT NULL DEFAULT '[]';
ALTER TABLE jobs ADD COLUMN texts TEXT NOT NULL DEFAULT '[]';

-- What attempts whose results were taken spent on each track of a job; of the job '' all that there
-- ever were, which are not forgotten with their jobs.
CREATE TABLE spent (
    job TEXT NOT NULL,
    track TEXT NOT NULL,
    cpu_ms BIGINT NOT NULL,
    work_ms BIGINT NOT NULL,
    media_ms BIGINT NOT NULL,
    PRIMARY KEY (job, track)
);
