"""What runs in order whatever the schedule: lanes, the tasks on them, and which step may not overtake which."""
