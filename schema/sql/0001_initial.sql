-- Version 1 of the database. Run in one transaction by the store, which then sets user_version to 1.
-- Times are microseconds since 1970-01-01 UTC. JSON columns hold documents of schema/. Foreign keys
-- are on in every connection.

PRAGMA application_id = 1651536484; -- "bprd", BP_APPLICATION_ID in schema/sql/migrations.h

-- ---- data sets: immutable contents under a name; the column files lie in the data directory ----

CREATE TABLE datasets (
    name    TEXT PRIMARY KEY,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The newest version is the largest. The same content may come back as a later version (A, B, A).
CREATE TABLE dataset_versions (
    id        INTEGER PRIMARY KEY,
    dataset   TEXT    NOT NULL REFERENCES datasets (name) ON DELETE CASCADE,
    version   INTEGER NOT NULL CHECK (version >= 1),
    sha256    TEXT    NOT NULL CHECK (length(sha256) = 64), -- of the content
    row_count INTEGER NOT NULL CHECK (row_count >= 0),
    info      TEXT    NOT NULL CHECK (json_valid(info)), -- bp_dataset_info_json, full
    created   INTEGER NOT NULL,
    UNIQUE (dataset, version)
) STRICT;

CREATE INDEX dataset_versions_by_content ON dataset_versions (dataset, sha256);

-- Which files a version needs: a file that no row names may be swept.
CREATE TABLE dataset_columns (
    dataset_version_id INTEGER NOT NULL REFERENCES dataset_versions (id) ON DELETE CASCADE,
    ordinal            INTEGER NOT NULL, -- 0, 1, and so on in file order
    name               TEXT    NOT NULL,
    file_sha256        TEXT    NOT NULL CHECK (length(file_sha256) = 64), -- also the file's name
    size_bytes         INTEGER NOT NULL CHECK (size_bytes >= 0),
    PRIMARY KEY (dataset_version_id, ordinal),
    UNIQUE (dataset_version_id, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX dataset_columns_by_file ON dataset_columns (file_sha256);

-- ---- jobs ----

CREATE TABLE jobs (
    id            INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again
    name          TEXT    NOT NULL,
    state         TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'stopping', 'paused',
                                                    'succeeded', 'failed', 'cancelled')),
    reason        TEXT,
    restarts      INTEGER NOT NULL DEFAULT 0,
    reproducible  INTEGER NOT NULL DEFAULT 1 CHECK (reproducible IN (0, 1)),
    priority      INTEGER NOT NULL DEFAULT 0, -- larger first
    specification TEXT    NOT NULL CHECK (json_valid(specification)), -- as resolved
    warnings      TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(warnings)),
    memory_bytes  INTEGER NOT NULL CHECK (memory_bytes >= 0), -- what admission counts
    created       INTEGER NOT NULL,
    started       INTEGER, -- first start
    finished      INTEGER,
    epoch         INTEGER NOT NULL DEFAULT 0, -- progress as last committed
    step          INTEGER NOT NULL DEFAULT 0,
    steps         INTEGER NOT NULL DEFAULT 0, -- of the whole run; 0 until its rows are known
    metric_names  TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(metric_names)), -- at most 63
    metrics       TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(metrics)) -- latest, best, train, and so on
) STRICT;

CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE INDEX jobs_by_name ON jobs (name, id);
CREATE INDEX jobs_queue ON jobs (priority DESC, id) WHERE state = 'queued';

-- What an unfinished job needs: keeps these contents from being deleted. A trigger lets go of them when
-- the job ends; the specification keeps the SHA-256 of each.
CREATE TABLE job_datasets (
    job_id             INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    part               TEXT    NOT NULL CHECK (part IN ('training', 'validation', 'test')),
    dataset_version_id INTEGER NOT NULL REFERENCES dataset_versions (id) ON DELETE RESTRICT,
    PRIMARY KEY (job_id, part)
) STRICT, WITHOUT ROWID;

CREATE INDEX job_datasets_by_version ON job_datasets (dataset_version_id);

CREATE TRIGGER jobs_release_datasets AFTER UPDATE OF state ON jobs
WHEN NEW.state IN ('succeeded', 'failed', 'cancelled')
BEGIN
    DELETE FROM job_datasets WHERE job_id = NEW.id;
END;

CREATE TABLE job_transitions (
    job_id     INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    ordinal    INTEGER NOT NULL, -- 0, 1, and so on
    time       INTEGER NOT NULL,
    from_state TEXT, -- NULL: submitted
    to_state   TEXT    NOT NULL,
    reason     TEXT,
    PRIMARY KEY (job_id, ordinal)
) STRICT, WITHOUT ROWID;

-- One row a point. Bit i of present: the metric that jobs.metric_names[i] names has a value; "values"
-- holds these values, lowest bit first, as little-endian float64, so that NaN and infinities keep
-- their bits (SQLite would store NaN as NULL).
CREATE TABLE metrics (
    job_id   INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    seq      INTEGER NOT NULL CHECK (seq >= 1), -- 1, 2, and so on without gaps
    step     INTEGER NOT NULL,
    epoch    INTEGER NOT NULL,
    time     INTEGER NOT NULL,
    present  INTEGER NOT NULL,
    "values" BLOB    NOT NULL CHECK (length("values") % 8 = 0),
    PRIMARY KEY (job_id, seq)
) STRICT, WITHOUT ROWID;

-- ---- models ----

CREATE TABLE models (
    id      INTEGER PRIMARY KEY,
    name    TEXT    NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    job_id  INTEGER REFERENCES jobs (id) ON DELETE SET NULL,
    info    TEXT    NOT NULL CHECK (json_valid(info)), -- bp_model_info_json, full
    created INTEGER NOT NULL,
    UNIQUE (name, version)
) STRICT;

CREATE INDEX models_by_job ON models (job_id);

-- One row a tensor, in export order. Has a rowid: blobs are read in pieces.
CREATE TABLE model_tensors (
    id       INTEGER PRIMARY KEY,
    model_id INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    ordinal  INTEGER NOT NULL,
    name     TEXT    NOT NULL, -- "layers.0.weight"
    dtype    TEXT    NOT NULL CHECK (dtype IN ('float32', 'float64')),
    shape    TEXT    NOT NULL CHECK (json_valid(shape)), -- [out, in]
    sha256   TEXT    NOT NULL CHECK (length(sha256) = 64), -- of data
    data     BLOB    NOT NULL, -- row-major, little-endian
    UNIQUE (model_id, ordinal)
) STRICT;

-- ---- repeated requests ----

-- The first answer to a POST that carried Idempotency-Key, written in the transaction of its effect.
CREATE TABLE idempotency_keys (
    key         TEXT    NOT NULL,
    route       TEXT    NOT NULL, -- method and path: "POST /api/v1/jobs"
    body_sha256 TEXT    NOT NULL CHECK (length(body_sha256) = 64),
    status      INTEGER NOT NULL,
    location    TEXT,
    answer      TEXT    NOT NULL,
    created     INTEGER NOT NULL,
    PRIMARY KEY (key, route)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created);
