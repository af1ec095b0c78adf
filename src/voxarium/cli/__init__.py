"""The command line: arguments, progress, printing, exit codes; no logic."""
