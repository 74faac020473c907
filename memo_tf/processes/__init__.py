"""Child processes on this machine that die with their parent."""
