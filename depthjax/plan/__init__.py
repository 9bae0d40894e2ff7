"""What a run would cost on devices that are not there: memory, work, traffic and time of a step."""
