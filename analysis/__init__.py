"""Turns records into intervals, figures, verdicts and the leaderboard. Needs neither torch nor a simulator."""
