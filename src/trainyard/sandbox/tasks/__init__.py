"""Processes and containers of jobs: started, ended, never left behind."""
