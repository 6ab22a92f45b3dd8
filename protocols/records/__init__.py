"""The records of a run on disk, and the checks of these records."""
