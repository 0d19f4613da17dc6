"""Small problems, solvers and learners that tests share."""
