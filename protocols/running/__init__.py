"""The training loop, and the code that starts, stops, resumes and shows it."""
