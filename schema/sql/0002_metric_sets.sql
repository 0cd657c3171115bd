-- Metric points with any names: a point refers to the set of names that its values belong to, instead of
-- to bits of one list for the job, which ends at 63 names. A job has few sets: points of a step
-- inside an epoch, of the last one of an epoch, of a step that diverged.

CREATE TABLE metric_sets (
    job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    id     INTEGER NOT NULL, -- within the job
    names  TEXT    NOT NULL CHECK (json_valid(names)), -- array, in the order of the values
    PRIMARY KEY (job_id, id)
) STRICT, WITHOUT ROWID;

INSERT INTO metric_sets (job_id, id, names)
SELECT used.job_id, used.present,
       (SELECT json_group_array(name.value) FROM json_each(jobs.metric_names) AS name
        WHERE used.present >> name.key & 1)
FROM (SELECT DISTINCT job_id, present FROM metrics) AS used JOIN jobs ON jobs.id = used.job_id;

ALTER TABLE metrics RENAME COLUMN present TO set_id;
ALTER TABLE jobs DROP COLUMN metric_names;
