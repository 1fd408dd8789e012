"""Going through all schedules of a small scenario, one of each class of equivalent ones."""
