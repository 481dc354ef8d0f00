-- Bytes that were read of a source in a store, whatever became of the attempt: of the track 'source'.
ALTER TABLE spent ADD COLUMN read_bytes BIGINT NOT NULL DEFAULT 0;
