"""Mathematical models as a person would check them against the paper, one module per problem."""
