"""What is measured, an area a file: each has `run(plan) -> Section`."""
