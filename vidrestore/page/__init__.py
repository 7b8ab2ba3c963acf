"""The HTML report: one page that holds everything it shows and asks the network for nothing."""
