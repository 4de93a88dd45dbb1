"""The script as a process: started, signalled, its log, what it leaves behind."""
