"""The `msdesis` command: thin, one file a sub-command. May import every room."""
