"""Data sets, what is planted in them, shards, and what training eats."""
