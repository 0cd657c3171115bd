-- A job may need a data set of vectors beside its parts. A table's check cannot be changed, so the table is replaced;
-- the trigger that empties it names it, and goes along.

DROP TRIGGER jobs_release_datasets;

CREATE TABLE job_needs (
    job_id             INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    part               TEXT    NOT NULL CHECK (part IN ('training', 'validation', 'test', 'vectors')),
    dataset_version_id INTEGER NOT NULL REFERENCES dataset_versions (id) ON DELETE RESTRICT,
    PRIMARY KEY (job_id, part)
) STRICT, WITHOUT ROWID;

INSERT INTO job_needs SELECT job_id, part, dataset_version_id FROM job_datasets;
DROP TABLE job_datasets;
ALTER TABLE job_needs RENAME TO job_datasets;

CREATE INDEX job_datasets_by_version ON job_datasets (dataset_version_id);

CREATE TRIGGER jobs_release_datasets AFTER UPDATE OF state ON jobs
WHEN NEW.state IN ('succeeded', 'failed', 'cancelled')
BEGIN
    DELETE FROM job_datasets WHERE job_id = NEW.id;
END;
