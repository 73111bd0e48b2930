"""From a file of tools to a model that calls them: the steps of scripts/teach.py."""
