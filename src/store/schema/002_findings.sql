-- Repository scans. Databases of version 1 have the format 5 and no column for what a scan was asked.
PRAGMA user_version = 6;

ALTER TABLE job_text ADD COLUMN repo TEXT; -- comes with the request, as the plan
