"""From a photograph of any size to a result: arrays in, arrays out. What every command calls."""
