"""What ails a shop's connection: asked with the user's own key, reading only, and told with what to do about it.

`probing` and `connection` ask and judge nothing. What they saw is an `observations.Observations`. `findings`,
`readings` and `support` make of it what the reader sees, and are pure, so any answer can be tested as a value.
"""
