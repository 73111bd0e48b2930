"""What a command looks like from outside: flags, one-line errors, exit codes, the next command."""
