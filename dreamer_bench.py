"""The command line: a face over the four packages."""


def main() -> None:
    raise SystemExit(2)
