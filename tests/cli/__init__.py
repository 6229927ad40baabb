"""The command, run as a shell runs it: arguments in, text and an exit code out."""
