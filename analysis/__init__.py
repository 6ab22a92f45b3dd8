"""From records to intervals, figures, verdicts and the leaderboard. Needs neither torch nor a simulator."""
