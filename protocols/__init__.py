"""What is measured, and the machinery that measures and records it."""
