"""Keep the answers and the typical mistakes: sNN.SOLUTIONS, by exercise id.  A student's package can do without."""
