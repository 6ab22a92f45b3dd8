"""What is measured, and the code that measures and records it."""
