"""Calls of a reply compared with the calls expected."""
