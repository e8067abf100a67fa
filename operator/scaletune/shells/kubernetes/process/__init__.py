"""The operator as a process among others: who leads, whether it is well, what it logs."""
