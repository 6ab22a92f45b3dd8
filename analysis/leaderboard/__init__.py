"""The leaderboard: sealed submissions, and the site that ranks them."""
