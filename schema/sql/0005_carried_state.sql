-- Checkpoints keep what recurrent layers carry from one step into the next: tensors of role "state". A column's
-- check cannot be changed, so the column is replaced; no row of another table sees that.

ALTER TABLE checkpoint_tensors ADD COLUMN part TEXT NOT NULL DEFAULT 'weights'
    CHECK (part IN ('weights', 'slot', 'state', 'best'));
UPDATE checkpoint_tensors SET part = role;
ALTER TABLE checkpoint_tensors DROP COLUMN role;
ALTER TABLE checkpoint_tensors RENAME COLUMN part TO role;
