"""Runs units of work: one per process, many on this machine."""
