"""What the project's own gate can see: classic bugs, put into a copy of the code one at a time, and what comes of them."""
