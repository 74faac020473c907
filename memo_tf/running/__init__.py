"""Units run: one in a process, many on this machine."""
