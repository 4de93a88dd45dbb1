"""What runs inside every job, in every yard.

Standard library only, Python 3.8 and later, and nothing else of trainyard.
"""
