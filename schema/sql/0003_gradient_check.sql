-- What the check of gradients found before a job trained; NULL where none was asked for.

ALTER TABLE jobs ADD COLUMN gradient_check TEXT
    CHECK (gradient_check IS NULL OR json_valid(gradient_check));
