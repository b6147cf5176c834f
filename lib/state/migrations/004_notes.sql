-- What a source's driver says of a file that is whole as the source has it: a log that ends in the middle.
ALTER TABLE file ADD COLUMN note TEXT;
-- For `status`: few beside all that is known.
CREATE INDEX file_noted ON file (changed_ms) WHERE note IS NOT NULL;
