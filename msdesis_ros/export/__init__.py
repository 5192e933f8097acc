"""From a checkpoint to the file that deploys, and the proof that it answers the same.

May import `core`, `nets`, `data` and `runtime`. Needs the extra `export` where it is used, not
where it is imported.
"""
