"""Networks that predict the prices of servers; the same prices certify each decision."""
