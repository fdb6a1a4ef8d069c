"""What kept a run from more, tested: every cause with its number, what that is held against, and what was found.

The diagnosis (`study.analysis.diagnosis`) names a cause by the measures at hand. Here all causes are tested, in the
order of `tests`, by measures taken for it (`measures`) and by short forks (`forks`), and what was not measured is said.
"""
