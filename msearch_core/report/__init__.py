"""Reading a log: trials side by side, groups, plots, and one page that holds them all.

Everything here takes rows of the log, as ``TrialLog.trials()`` gives them, and neither trains nor writes into the log.
"""
