"""agent-market: a marketplace sandbox in which the customers are agents."""
