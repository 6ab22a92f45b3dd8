"""The report: one HTML page about a folder of records."""
