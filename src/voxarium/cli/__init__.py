"""The command line: arguments, progress, printing and exit codes; no logic."""
