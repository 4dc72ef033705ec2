"""Studies of populations: each a folder of results that a command computes, and figures and a report of them."""
