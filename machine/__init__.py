"""What this machine has and lacks for the project, and the lock file of what is installed.

Only the modules of trials import what is not Python's own; they run in processes of their own.
"""
