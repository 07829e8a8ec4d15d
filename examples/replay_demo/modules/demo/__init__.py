"""The steps of the replay demo. Maths stands in plain modules; each `@plugin` function beside it is thin."""
