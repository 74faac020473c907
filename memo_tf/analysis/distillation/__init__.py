"""Two recipes on the same subsets: what one changes of the other's scores."""
