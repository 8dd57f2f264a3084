-- Keys of the applications that a machine with this token is told of, one a line; NULL: all.
ALTER TABLE service_tokens ADD COLUMN applications TEXT;
