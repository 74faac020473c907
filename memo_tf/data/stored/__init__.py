"""A data set on disk: one writer, one reader, shards, index and images."""
