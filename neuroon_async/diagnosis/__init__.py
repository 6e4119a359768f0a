"""What is wrong with a shop's connection, and what to do about it: asked with the user's own key, reading only.

`probing` and `connection` ask and judge nothing. What they saw is an `observations.Observations`. `findings`,
`readings` and `support` make of it what the reader sees, and are pure, so any answer can be tested as a value.
"""
