"""Branch and price: sets of tasks on a server, prices of tasks, and the tree."""
