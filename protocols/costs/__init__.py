"""What runs cost: hours, disk and memory, planned and measured."""
