"""Assets, partitions, checks, jobs, schedules, sensors: thin wiring over the rooms (spec section 10)."""
