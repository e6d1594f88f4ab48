"""Whether our streams are what the open protocol says: judged by software that others wrote."""
