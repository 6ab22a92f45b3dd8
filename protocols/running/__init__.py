"""The training loop, and what starts, stops, resumes and shows it."""
