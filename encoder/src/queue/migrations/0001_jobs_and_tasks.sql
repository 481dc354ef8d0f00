-- One schema for SQLite and PostgreSQL: BIGINT and TEXT alone. Times are milliseconds since 1970.

-- The making of one version.
CREATE TABLE jobs (
    job TEXT NOT NULL PRIMARY KEY,
    title TEXT NOT NULL,
    input TEXT NOT NULL,
    priority TEXT NOT NULL,
    deadline_ms BIGINT NOT NULL,
    growing BIGINT NOT NULL,
    state TEXT NOT NULL,
    submitted_ms BIGINT NOT NULL,
    begun_ms BIGINT,
    ended_ms BIGINT,
    fragments BIGINT NOT NULL,
    -- Chunks and sounds that are not done.
    open BIGINT NOT NULL,
    -- What is to be written to the store next, and what was last.
    marked_seq BIGINT,
    marked_frontier BIGINT,
    marked_is_last BIGINT,
    published_seq BIGINT,
    published_frontier BIGINT,
    published_is_last BIGINT,
    fault_kind TEXT,
    fault TEXT
);
CREATE INDEX jobs_by_state ON jobs (state, job);
CREATE INDEX jobs_ended ON jobs (ended_ms) WHERE ended_ms IS NOT NULL;
CREATE INDEX jobs_by_title ON jobs (title, job);

-- What a worker takes.
CREATE TABLE tasks (
    job TEXT NOT NULL REFERENCES jobs (job),
    -- 0 publish, 1 plan, 2 audio, 3 chunk
    kind BIGINT NOT NULL,
    number BIGINT NOT NULL,
    state TEXT NOT NULL,
    tool TEXT NOT NULL,
    -- The lane that it is taken from, and the one that it has while nobody waits for it.
    lane_now BIGINT NOT NULL,
    lane BIGINT NOT NULL,
    wanted_until_ms BIGINT,
    deadline_ms BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    losses BIGINT NOT NULL,
    worker TEXT NOT NULL,
    first_fragment BIGINT NOT NULL,
    end_fragment BIGINT NOT NULL,
    reached BIGINT NOT NULL,
    frames BIGINT NOT NULL,
    frames_made BIGINT NOT NULL,
    out_bytes BIGINT NOT NULL,
    in_bytes BIGINT NOT NULL,
    moved_ms BIGINT NOT NULL,
    until_ms BIGINT,
    -- When the clock changes it.
    due_ms BIGINT,
    since_ms BIGINT NOT NULL,
    fault_kind TEXT,
    fault TEXT,
    result TEXT,
    PRIMARY KEY (job, kind, number)
);
-- A claim reads its first entry, however many there are.
CREATE INDEX tasks_ready ON tasks (tool, lane_now, deadline_ms, job, kind, number)
    WHERE state = 'ready';
CREATE INDEX tasks_due ON tasks (due_ms) WHERE due_ms IS NOT NULL;
-- The frontier is its first entry of a job.
CREATE INDEX tasks_to_do ON tasks (job, reached) WHERE kind >= 2 AND state <> 'done';

-- What happened to a job.
CREATE TABLE story (
    job TEXT NOT NULL REFERENCES jobs (job),
    entry BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    what TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (job, entry)
);

CREATE TABLE faults (
    kind TEXT NOT NULL PRIMARY KEY,
    faults BIGINT NOT NULL
);
