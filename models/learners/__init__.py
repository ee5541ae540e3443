"""Learners: each file holds a method's hyper-parameters, its equations and its entry in the registry."""
