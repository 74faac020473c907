"""Verdicts on the findings of both papers, by docs/studies/plan.md.

`rules` turns numbers with intervals into answers (section 4 of the plan); the
`over_` modules compute the numbers of section 5; `__main__` is the program.
`figures` draws what they rest on.
"""
