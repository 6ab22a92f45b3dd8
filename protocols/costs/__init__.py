"""The costs of runs: hours, disk and memory, planned and measured."""
