"""Command lines: flags, flagfiles, exit codes. The only part that uses flags."""
