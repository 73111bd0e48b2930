"""Files and directories that are written whole or not at all, each with a sha256 manifest."""
