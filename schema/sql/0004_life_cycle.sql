-- Jobs that cannot be lost: their events, checkpoints, roll-ups of metrics, verification, deletion.

-- ---- events: what happened to a job, in order ----

-- An event comes after the metric point of seq after_seq and before the next one: with that, points and
-- events have one order, which an event stream can be resumed in.
CREATE TABLE job_events (
    job_id    INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    ordinal   INTEGER NOT NULL CHECK (ordinal >= 1), -- 1, 2, and so on
    time      INTEGER NOT NULL,
    after_seq INTEGER NOT NULL CHECK (after_seq >= 0),
    type      TEXT    NOT NULL CHECK (type IN ('state', 'checkpoint', 'log')),
    data      TEXT    NOT NULL CHECK (json_valid(data)), -- state: from (null: submitted), to, reason
    PRIMARY KEY (job_id, ordinal)
) STRICT, WITHOUT ROWID;

INSERT INTO job_events (job_id, ordinal, time, after_seq, type, data)
SELECT t.job_id, t.ordinal + 1, t.time,
       (SELECT coalesce(max(m.seq), 0) FROM metrics m WHERE m.job_id = t.job_id AND m.time <= t.time),
       'state', json_object('from', t.from_state, 'to', t.to_state, 'reason',
                            coalesce(t.reason, iif(t.to_state = 'running', 'started', 'completed')))
FROM job_transitions t;

DROP TABLE job_transitions;

ALTER TABLE jobs ADD COLUMN event_count INTEGER NOT NULL DEFAULT 0; -- ordinal of the last event
UPDATE jobs SET event_count = (SELECT count(*) FROM job_events e WHERE e.job_id = jobs.id);

-- ---- jobs ----

UPDATE jobs SET reason = iif(state = 'running', 'started', 'completed') WHERE reason IS NULL;

ALTER TABLE jobs ADD COLUMN stalled_restarts INTEGER NOT NULL DEFAULT 0; -- since the last checkpoint
ALTER TABLE jobs ADD COLUMN fingerprint TEXT; -- of the numerics of the last run; NULL: none yet
ALTER TABLE jobs ADD COLUMN verifies INTEGER REFERENCES jobs (id) ON DELETE CASCADE; -- retrains that job
ALTER TABLE jobs ADD COLUMN metrics_same INTEGER CHECK (metrics_same IN (0, 1)); -- as that job's; when done
ALTER TABLE jobs ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)); -- being swept
ALTER TABLE jobs ADD COLUMN revision INTEGER NOT NULL DEFAULT 1; -- of what can be changed: the ETag
ALTER TABLE jobs ADD COLUMN checkpoints INTEGER NOT NULL DEFAULT 0; -- numbers given to any so far
ALTER TABLE jobs ADD COLUMN weights_sha256 TEXT; -- of a succeeded job's final weights

CREATE INDEX jobs_by_verified ON jobs (verifies) WHERE verifies IS NOT NULL;
CREATE INDEX jobs_to_sweep ON jobs (id) WHERE deleted = 1;

-- ---- checkpoints: the row comes first, complete = 1 last, in the transaction that makes it one ----

-- Incomplete: being written, left by a daemon that died, or no longer kept and being deleted in pieces.
CREATE TABLE checkpoints (
    id           INTEGER PRIMARY KEY,
    job_id       INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number       INTEGER NOT NULL CHECK (number >= 1), -- within the job, never used again
    complete     INTEGER NOT NULL DEFAULT 0 CHECK (complete IN (0, 1)),
    cause        TEXT    NOT NULL CHECK (cause IN ('epochs', 'steps', 'time', 'paused', 'stopped', 'end')),
    step         INTEGER NOT NULL CHECK (step >= 0), -- finished updates
    epoch        INTEGER NOT NULL CHECK (epoch >= 0), -- finished epochs
    metric_seq   INTEGER NOT NULL CHECK (metric_seq >= 0), -- of the last point up to it
    metric       BLOB CHECK (length(metric) = 8), -- what "best" goes by, float64; NULL: not evaluated
    state        TEXT    NOT NULL CHECK (json_valid(state)), -- bp_checkpoint_state_json
    data_sha256  TEXT    NOT NULL CHECK (length(data_sha256) = 64), -- of the training data set
    fingerprint  TEXT    NOT NULL, -- of the numerics
    sha256       TEXT    NOT NULL CHECK (length(sha256) = 64), -- of position, state and tensors' checksums
    size_bytes   INTEGER NOT NULL CHECK (size_bytes >= 0),
    created      INTEGER NOT NULL,
    UNIQUE (job_id, number)
) STRICT;

CREATE INDEX checkpoints_incomplete ON checkpoints (id) WHERE complete = 0;

CREATE TABLE checkpoint_tensors (
    id            INTEGER PRIMARY KEY,
    checkpoint_id INTEGER NOT NULL REFERENCES checkpoints (id) ON DELETE CASCADE,
    ordinal       INTEGER NOT NULL,
    role          TEXT    NOT NULL CHECK (role IN ('weights', 'slot', 'best')),
    slot          INTEGER NOT NULL DEFAULT 0, -- of the optimiser, for role slot
    name          TEXT    NOT NULL, -- of the parameter: "layers.0.weight"
    dtype         TEXT    NOT NULL CHECK (dtype IN ('float32', 'float64')),
    shape         TEXT    NOT NULL CHECK (json_valid(shape)),
    sha256        TEXT    NOT NULL CHECK (length(sha256) = 64), -- of the joined pieces
    UNIQUE (checkpoint_id, ordinal)
) STRICT;

CREATE TABLE checkpoint_pieces (
    id        INTEGER PRIMARY KEY,
    tensor_id INTEGER NOT NULL REFERENCES checkpoint_tensors (id) ON DELETE CASCADE,
    ordinal   INTEGER NOT NULL,
    data      BLOB    NOT NULL CHECK (length(data) <= 4194304),
    UNIQUE (tensor_id, ordinal)
) STRICT;

-- What predictions from a job's checkpoints need besides the weights; written with the first of them.
CREATE TABLE job_models (
    job_id INTEGER PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    info   TEXT NOT NULL CHECK (json_valid(info)) -- bp_model_info_json, full
) STRICT;

-- Which checkpoint an unfinished job begins with: keeps it from being deleted.
CREATE TABLE job_initials (
    job_id        INTEGER PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    checkpoint_id INTEGER NOT NULL REFERENCES checkpoints (id) ON DELETE RESTRICT
) STRICT;

CREATE INDEX job_initials_by_checkpoint ON job_initials (checkpoint_id);

CREATE TRIGGER jobs_release_initials AFTER UPDATE OF state ON jobs
WHEN NEW.state IN ('succeeded', 'failed', 'cancelled')
BEGIN
    DELETE FROM job_initials WHERE job_id = NEW.id;
END;

-- ---- roll-ups: minimum, maximum and last value of 8, 64, 512 and so on points ----

-- Row (level, bucket) covers seq bucket·8^level + 1 to (bucket + 1)·8^level and is written with the last
-- of them; what a run has beyond its last whole bucket is found one level below.
CREATE TABLE metric_rollups (
    job_id   INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    level    INTEGER NOT NULL CHECK (level >= 1),
    bucket   INTEGER NOT NULL CHECK (bucket >= 0),
    step     INTEGER NOT NULL, -- of the last point
    epoch    INTEGER NOT NULL,
    time     INTEGER NOT NULL,
    set_id   INTEGER NOT NULL, -- names of all metrics in it
    "values" BLOB    NOT NULL CHECK (length("values") % 24 = 0), -- minima, maxima, last ones; float64
    PRIMARY KEY (job_id, level, bucket)
) STRICT, WITHOUT ROWID;
